package bridge

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cdpbridge/cdpbridge/chromium"
)

// ClearCodeCachesOptions are the options of Session.ClearCodeCaches.
type ClearCodeCachesOptions struct {
	// URLs are the addresses of the scripts whose compiled code is forgotten. Empty
	// means all.
	URLs []string `json:"urls,omitzero"`
}

// ClearCodeCaches forgets the code that Chromium has compiled of scripts and
// WebAssembly and keeps on disk. Pages that are open keep theirs. It is Electron's
// clearCodeCaches.
//
// A session in memory that shares a Chromium process has no such code on disk:
// *UnsupportedError, unless it has PartitionOptions.OwnProcess.
func (s *Session) ClearCodeCaches(ctx context.Context, o ClearCodeCachesOptions) error {
	urls := make([]string, len(o.URLs))
	for i, u := range o.URLs {
		var err error
		if urls[i], err = codeURL(u); err != nil {
			return err
		}
	}
	at, err := s.place(ctx)
	if err == nil && (at.host.process == nil || !at.isDefault()) {
		err = noCodeCache()
	}
	if err == nil {
		err = clearCodeCaches(ctx, at.host.process, urls)
	}
	return doing("clearing the code caches", err)
}

// SetCodeCachePath checks a path for Chromium's caches of compiled code. It is
// Electron's setCodeCachePath, whose *InvalidArgumentError it returns for a path
// that is not absolute.
//
// Chromium takes such a path with its start, and a session has its Chromium from
// its beginning on: for any other than the session's own it returns an
// *UnsupportedError that names PartitionOptions.CodeCachePath.
func (s *Session) SetCodeCachePath(path string) error {
	if err := checkCodeCachePath(path); err != nil {
		return err
	}
	if filepath.Clean(path) == filepath.Clean(s.opts.CodeCachePath) {
		return nil
	}
	return &UnsupportedError{Feature: "another path for the code cache", Reason: "Chromium takes it with its start only", Instead: "use PartitionOptions.CodeCachePath, or Options.CodeCachePath for the default session"}
}

func checkCodeCachePath(path string) error {
	if !filepath.IsAbs(path) {
		return invalidArgument("Absolute path must be provided to store code cache.")
	}
	return nil
}

func noCodeCache() error {
	return &UnsupportedError{Feature: "a code cache on disk", Reason: "Chromium keeps that of a session in memory to itself", Instead: "use PartitionOptions.OwnProcess"}
}

// codeURL is an address as Chromium writes it in the keys of its code cache.
func codeURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return "", invalidArgument("%q is not the URL of a script", address)
	}
	u.Host = strings.ToLower(u.Host)
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.Host != "" && u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

// clearCodeCaches removes the files of Chromium's caches while it runs. The caches
// take a file that is gone for an entry that was evicted.
func clearCodeCaches(ctx context.Context, p *chromium.Process, urls []string) error {
	files, err := chromium.OpenFiles(p.CodeCacheDir(), p.User())
	if err != nil {
		return ignoreMissing(err) // nothing is compiled yet
	}
	defer files.Close()
	var failed []error
	for _, kind := range []string{"js", "wasm"} {
		names, err := files.Names(kind)
		failed = append(failed, ignoreMissing(err))
		for _, name := range names {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !cacheEntry.MatchString(name) {
				continue
			}
			entry := path.Join(kind, name)
			if len(urls) == 0 || slices.Contains(urls, cachedCode(files, entry)) {
				failed = append(failed, ignoreMissing(files.Remove(entry)))
			}
		}
	}
	return errors.Join(failed...)
}

// cachedCode is the address of the script of an entry, or empty. The key of an
// entry is "_key", that address, " \n" and the origin for which it was compiled.
func cachedCode(files *chromium.Files, name string) string {
	file, err := files.Open(name, os.O_RDONLY)
	if err != nil {
		return ""
	}
	defer file.Close()
	var header struct { // SimpleFileHeader of Chromium's simple cache
		Magic                    uint64
		Version, KeyLength, _, _ uint32
	}
	if binary.Read(file, binary.LittleEndian, &header) != nil || header.Magic != simpleCacheMagic || header.KeyLength > maxCodeKey {
		return ""
	}
	key := make([]byte, header.KeyLength)
	if _, err := io.ReadFull(file, key); err != nil {
		return ""
	}
	address, _, _ := strings.Cut(strings.TrimPrefix(string(key), "_key"), " \n")
	return address
}

const (
	// simpleCacheMagic begins each file of the simple cache.
	simpleCacheMagic = 0xfcfb6d1ba7725c30
	// maxCodeKey bounds what is read of a file that Chromium can write.
	maxCodeKey = 4 << 20
)
