package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// blobUUID is the uuid of what an expression in a page gives.
func blobUUID(t testing.TB, page *WebContents, expression string, arguments ...any) string {
	t.Helper()
	uuid, err := page.BlobUUID(testContext(t), expression, arguments...)
	if err != nil || uuid == "" {
		t.Fatalf("%q, %v", uuid, err)
	}
	return uuid
}

func TestBlobs_AreReadByTheirUUID(t *testing.T) {
	t.Parallel()
	ctx, s, other, server := testContext(t), memorySession(t), namedSession(t, "another"), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/page/blobs"))
	t.Run("SES-0954 what a page has in a form", func(t *testing.T) {
		const posted = `{"name":"ü","n":1}`
		uuid := blobUUID(t, page, "(text) => { window.form = new FormData(); form.append('file', new Blob([text], {type: 'application/json'})); return form.get('file') }", posted)
		if data, err := s.GetBlobData(ctx, uuid); err != nil || string(data) != posted {
			t.Errorf("%q, %v", data, err)
		}
		if data, err := other.GetBlobData(ctx, uuid); err == nil {
			t.Errorf("another session has read %q", data)
		}
	})
	t.Run("SES-1105 more than a pipe holds", func(t *testing.T) {
		uuid := blobUUID(t, page, "Promise.resolve(window.kept = new Blob([new Uint8Array(65537).map((_, i) => i)]))")
		data, err := s.GetBlobData(ctx, uuid)
		if err != nil || len(data) != 65537 || data[65535] != 255 || data[65536] != 0 {
			t.Errorf("%d bytes, %v", len(data), err)
		}
		page.Close(ctx)
		testPage(t, s, server.URL("b.test", "/page/other"))
		for err == nil && ctx.Err() == nil { // the process of the page is about to end
			_, err = s.GetBlobData(ctx, uuid)
		}
		if ctx.Err() != nil {
			t.Error("the blob of a page that is gone is there for ever")
		}
	})
	t.Run("by several at once", func(t *testing.T) {
		page := testPage(t, s, "")
		uuid := blobUUID(t, page, "window.shared = new Blob(Array.from({length: 17}, (_, i) => new Uint8Array(1 << 20).fill(i)))")
		read := make(chan []byte, 2)
		for range cap(read) {
			go func() {
				data, err := s.GetBlobData(ctx, uuid)
				if err != nil {
					t.Error(err)
				}
				read <- data
			}()
		}
		for range cap(read) {
			data := next(t, read)
			for i := range 17 {
				if len(data) != 17<<20 || data[i<<20] != byte(i) || data[(i+1)<<20-1] != byte(i) {
					t.Fatalf("%d bytes, which are not those of the blob", len(data))
				}
			}
		}
	})
	t.Run("SES-1070 an unknown uuid", func(t *testing.T) {
		for _, session := range []*Session{s, other} { // with a page, and with none
			_, err := session.GetBlobData(ctx, "0b1b5f53-0000-4000-8000-000000000000")
			var invalid *InvalidArgumentError
			if !errors.As(err, &invalid) || invalid.Message != "Could not get blob data handle" {
				t.Errorf("%v", err)
			}
		}
	})
	t.Run("what is no blob", func(t *testing.T) {
		page := testPage(t, s, "")
		for _, expression := range []string{"1", "null", "document", "({})"} {
			if uuid, err := page.BlobUUID(ctx, expression); !errors.Is(err, errNoBlob) {
				t.Errorf("%s: %q, %v", expression, uuid, err)
			}
		}
		var thrown *JavaScriptError
		if _, err := page.BlobUUID(ctx, "missing"); !errors.As(err, &thrown) {
			t.Errorf("%v", err)
		}
	})
	t.Run("an empty one", func(t *testing.T) {
		page := testPage(t, s, "")
		if data, err := s.GetBlobData(ctx, blobUUID(t, page, "window.empty = new Blob()")); err != nil || len(data) != 0 {
			t.Errorf("%q, %v", data, err)
		}
	})
}

func TestBlobs_ALargeOneIsCopiedInParts(t *testing.T) {
	megabytes := 40
	if os.Getenv("BRIDGE_FULL") == "1" {
		megabytes = 200
	}
	ctx, s := testContext(t), memorySession(t)
	page := testPage(t, s, "")
	uuid := blobUUID(t, page, `(n) => {
		const part = new Uint8Array(1 << 20);
		window.large = new Blob(Array.from({length: n}, (_, i) => part.fill(i).slice()));
		return large;
	}`, megabytes)
	hash, sum := sha256.New(), sha256.New()
	part := make([]byte, 1<<20)
	for i := range megabytes {
		for at := range part {
			part[at] = byte(i)
		}
		sum.Write(part)
	}
	peak := &blobPeak{to: hash}
	n, err := s.CopyBlob(ctx, uuid, peak)
	if err != nil || n != int64(megabytes)<<20 || hex.EncodeToString(hash.Sum(nil)) != hex.EncodeToString(sum.Sum(nil)) {
		t.Errorf("%d bytes, %v", n, err)
	}
	t.Logf("%d MiB, with %d MiB of memory at most", megabytes, peak.most>>20)
	if peak.largest > blobChunk {
		t.Errorf("%d bytes came at once", peak.largest)
	}
	full := errors.New("the disk is full")
	if n, err := s.CopyBlob(ctx, uuid, blobFull{full}); !errors.Is(err, full) || n != 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// blobPeak notes how much memory is in use while it is written to.
type blobPeak struct {
	to      io.Writer
	most    uint64
	largest int
}

func (p *blobPeak) Write(data []byte) (int, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.most, p.largest = max(p.most, m.HeapAlloc), max(p.largest, len(data))
	return p.to.Write(data)
}

// blobFull takes nothing.
type blobFull struct{ err error }

func (f blobFull) Write([]byte) (int, error) { return 0, fmt.Errorf("writing: %w", f.err) }
