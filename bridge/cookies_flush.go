package bridge

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/chromium"
)

const (
	// flushDomain is that of the cookies that make Chromium write. Nobody can
	// own a name in .invalid.
	flushDomain = ".flush.cdpbridge.invalid"
	// flushWrites is how many times one of them is written. Chromium commits at
	// the 512th operation that waits, and writing in the place of a cookie is
	// two.
	flushWrites = 300
	// flushLook is the time between two looks whether it has.
	flushLook = 5 * time.Millisecond
)

func isFlushMark(domain string) bool { return strings.HasSuffix(domain, flushDomain) }

// FlushStore writes the cookies of a persistent session to disk and returns
// when they are there: they outlive even a Chromium process that is killed.
// Without it Chromium writes after 30 seconds, after 512 changes, and when it
// ends in an orderly way. Session cookies are never written. For a session in
// memory there is nothing to do.
//
// In a browser that the bridge did not start, and whose directory it does not
// know, FlushStore returns when the writing has begun.
func (c *Cookies) FlushStore(ctx context.Context) error {
	if !c.session.IsPersistent() {
		return nil
	}
	if err := c.flush(ctx); err != nil {
		return fmt.Errorf("flushing cookies: %w", err)
	}
	return nil
}

// flush makes Chromium commit, for which it has no command. What it writes last
// includes what was to be written before.
func (c *Cookies) flush(ctx context.Context) error {
	at, err := c.session.place(ctx)
	if err != nil {
		return err
	}
	mark := flushMark()
	writes := []storedCookie{mark}
	for i := range flushWrites {
		filler := mark
		filler.Name, filler.Value = "filler", fmt.Sprint(i)
		writes = append(writes, filler)
	}
	if err := at.setCookies(ctx, writes...); err != nil {
		return c.session.explain(err)
	}
	err = at.waitWritten(ctx, mark.Domain)
	at.host.tree.Conn().Send(cdp.Command{Session: at.host.root(), Method: "Storage.setCookies", Params: at.expired(mark, writes[len(writes)-1])})
	return c.session.explain(err)
}

// flushMark is a cookie that no other call has. One that a killed process
// leaves behind ends by itself.
func flushMark() storedCookie {
	return storedCookie{Cookie: Cookie{
		Name: "mark", Domain: strings.ToLower(rand.Text()) + flushDomain, Path: "/", SameSite: "lax",
		ExpirationDate: float64(time.Now().Add(5 * time.Minute).Unix()),
	}}
}

// waitWritten waits until the cookie of a domain is in Chromium's database.
func (p *place) waitWritten(ctx context.Context, domain string) error {
	if p.host.process == nil {
		return nil
	}
	files, err := chromium.OpenFiles(p.host.process.UserDataDir(), p.host.process.User())
	if err != nil {
		return err
	}
	defer files.Close()
	look := time.NewTicker(flushLook)
	defer look.Stop()
	for {
		if written, err := committed(files, domain); written || err != nil {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for Chromium to write (is the disk full?): %w", context.Cause(ctx))
		case <-p.host.life.Done():
			return ErrHostGone
		}
	}
}

// committed reports whether the database has a text and no journal that would
// take it back: SQLite empties the journal when it has committed.
func committed(files *chromium.Files, text string) (bool, error) {
	database := path.Join(profileDir, "Cookies")
	if runtime.GOOS == "windows" {
		database = path.Join(profileDir, "Network", "Cookies")
	}
	data, err := files.ReadFile(database)
	if err != nil || !bytes.Contains(data, []byte(text)) {
		return false, ignoreMissing(err)
	}
	journal, err := files.Open(database+"-journal", os.O_RDONLY)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist), ignoreMissing(err)
	}
	defer journal.Close()
	info, err := journal.Stat()
	return err == nil && info.Size() == 0, err
}

// profileDir is where the default context has its files, below the user data
// directory.
const profileDir = "Default"

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
