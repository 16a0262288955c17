package bridge

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// blobChunk is how much of a blob is read at a time.
const blobChunk = 8 << 20

// GetBlobData returns the content of a blob of the session's pages, which has
// the uuid: Electron's getBlobData. See CopyBlob, which does not hold all of it
// in memory.
func (s *Session) GetBlobData(ctx context.Context, uuid string) ([]byte, error) {
	var data bytes.Buffer
	if _, err := s.CopyBlob(ctx, uuid, &data); err != nil {
		return nil, err
	}
	return data.Bytes(), nil
}

// CopyBlob writes the content of a blob of the session's pages to w, of which it
// reads 8 MiB at a time, and returns how many bytes that were.
// WebContents.BlobUUID tells the uuid of a blob. A blob lives as long as a page
// refers to it; one that is not there is an *InvalidArgumentError with Electron's
// text.
func (s *Session) CopyBlob(ctx context.Context, uuid string, w io.Writer) (written int64, err error) {
	at, err := s.place(ctx)
	if err != nil {
		return 0, doing("reading a blob", err)
	}
	err = s.onPage(ctx, at, func(ctx context.Context, page *cdp.Session) error {
		// Where a page goes meanwhile, the next one goes on.
		return copyBlob(ctx, page, "blob:"+uuid, w, &written)
	})
	if refused := (*cdp.Error)(nil); errors.As(err, &refused) {
		return written, invalidArgument("Could not get blob data handle")
	}
	return written, doing("reading a blob", s.explain(err))
}

// copyBlob copies what follows an offset of a blob. Any page of the context can
// read it, and holds it from its first read to the close.
func copyBlob(ctx context.Context, page *cdp.Session, handle string, w io.Writer, offset *int64) error {
	blob := page.Stream(ctx, handle, cdp.StreamOptions{Offset: offset, Chunk: blobChunk})
	defer blob.Close()
	n, err := io.Copy(w, blob)
	*offset += n
	return err
}

// BlobUUID returns the uuid of the Blob (or File) that a JavaScript expression in
// the page gives, or the promise that it gives. With arguments the expression is
// a function, which is called with them. What is no Blob is an
// *InvalidArgumentError; otherwise the errors are those of Evaluate.
func (w *WebContents) BlobUUID(ctx context.Context, expression string, arguments ...any) (string, error) {
	object, err := w.object(ctx, expression, arguments)
	if err != nil {
		return "", err
	}
	if object == "" {
		return "", errNoBlob
	}
	defer w.CDP().Conn().Send(cdp.Command{Session: w.CDP(), Method: "Runtime.releaseObject", Params: map[string]string{"objectId": object}})
	var r struct {
		UUID string `json:"uuid"`
	}
	err = w.renderer(ctx, "IO.resolveBlob", map[string]string{"objectId": object}, &r)
	if refused := (*cdp.Error)(nil); errors.As(err, &refused) {
		return "", errNoBlob
	}
	return r.UUID, err
}

var errNoBlob = invalidArgument("the expression gives no Blob")

// object is the handle of the object that an expression gives, empty if it gives
// none.
func (w *WebContents) object(ctx context.Context, expression string, arguments []any) (string, error) {
	expression, err := withArguments(expression, arguments)
	if err != nil {
		return "", err
	}
	raw, err := run(ctx, w, evaluateParams{Expression: expression, AwaitPromise: true})
	if err != nil {
		return "", err
	}
	if thrown := exceptionIn(raw); thrown != nil {
		return "", thrown
	}
	var r struct {
		Result struct {
			ObjectID string `json:"objectId"`
		} `json:"result"`
	}
	err = jsonv2.Unmarshal(raw, &r, jsonv2.AllowInvalidUTF8(true))
	return r.Result.ObjectID, err
}
