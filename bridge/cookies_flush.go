package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"crypto/rand"

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
	mark := flushMark("mark")
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
	// Marks that a killed process leaves behind expire within minutes.
	return errors.Join(err, c.session.explain(at.deleteCookies(ctx, []storedCookie{mark, writes[len(writes)-1]})))
}

func flushMark(name string) storedCookie {
	return storedCookie{Cookie: Cookie{
		Name: name, Value: "1", Domain: strings.ToLower(rand.Text()) + flushDomain, Path: "/", SameSite: "lax",
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
			return fmt.Errorf("waiting for Chromium to write: %w", context.Cause(ctx))
		case <-p.host.life.Done():
			return ErrHostGone
		}
	}
}

// committed reports whether the database has a text and no journal that would
// take it back: SQLite empties the journal when it has committed.
func committed(files *chromium.Files, text string) (bool, error) {
	const database = "Cookies"
	data, err := files.ReadFile(path.Join(profileDir, database))
	if err != nil || !bytes.Contains(data, []byte(text)) {
		return false, ignoreMissing(err)
	}
	journal, err := files.Open(path.Join(profileDir, database+"-journal"), os.O_RDONLY)
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
