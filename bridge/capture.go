package bridge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// ScreenshotOptions are the options of WebContents.Screenshot. The zero value
// is a PNG of what the viewport shows.
type ScreenshotOptions struct {
	// FullPage shows the whole document instead of the viewport.
	FullPage bool
	// Selector shows one element: the first that the CSS selector matches. It
	// is waited for.
	Selector string
	// Format is "png" (the default), "jpeg" or "webp".
	Format string
	// Quality is from 1 to 100, for jpeg and webp; 0 is Chromium's default.
	Quality int
	// Transparent leaves the page's own white background out, for png and webp.
	Transparent bool
}

func (o ScreenshotOptions) check() error {
	switch {
	case o.FullPage && o.Selector != "":
		return invalidArgument("FullPage and Selector exclude each other")
	case !slices.Contains([]string{"", "png", "jpeg", "webp"}, o.Format):
		return invalidArgument("Format is png, jpeg or webp, not %q", o.Format)
	case o.Quality < 0 || o.Quality > 100:
		return invalidArgument("Quality is from 1 to 100, or 0 for the default, not %d", o.Quality)
	}
	return nil
}

// Screenshot returns a picture of the page. Options that make no sense are an
// *InvalidArgumentError.
func (w *WebContents) Screenshot(ctx context.Context, o ScreenshotOptions) ([]byte, error) {
	shot, err := w.screenshot(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("taking a screenshot: %w", err)
	}
	return shot, nil
}

type viewport struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
	Scale  float64 `json:"scale"`
}

func (w *WebContents) screenshot(ctx context.Context, o ScreenshotOptions) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	params := struct {
		Format                string    `json:"format,omitzero"`
		Quality               int       `json:"quality,omitzero"`
		Clip                  *viewport `json:"clip,omitzero"`
		CaptureBeyondViewport bool      `json:"captureBeyondViewport,omitzero"`
	}{Format: o.Format, Quality: o.Quality}
	clip, err := w.clip(ctx, o)
	if err != nil {
		return nil, err
	}
	params.Clip, params.CaptureBeyondViewport = clip, clip != nil
	var r struct {
		Data []byte `json:"data"`
	}
	err = w.inFront(ctx, func() error {
		if o.Transparent {
			restore, err := w.clearBackground(ctx)
			if err != nil {
				return err
			}
			defer restore()
		}
		return w.renderer(ctx, "Page.captureScreenshot", params, &r)
	})
	return r.Data, err
}

// inFront calls f while the page is in front of its window, as one of the
// session's pages at a time. Chromium's answer to Page.captureScreenshot often
// never comes for a tab behind another one, although the page draws its frames:
// two pages of one session that take turns show it within a few pictures.
func (w *WebContents) inFront(ctx context.Context, f func() error) error {
	select {
	case w.session.front <- struct{}{}:
		defer w.session.front.give()
	case <-w.life.Done():
		return w.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if w.IsCrashed() {
		return ErrRendererGone
	}
	if err := w.call(ctx, "Page.bringToFront", nil, nil); err != nil {
		return err
	}
	return f()
}

// clip is the part of the document to show, nil for the viewport.
func (w *WebContents) clip(ctx context.Context, o ScreenshotOptions) (*viewport, error) {
	if !o.FullPage && o.Selector == "" {
		return nil, nil
	}
	var element rect
	if o.Selector != "" {
		var err error
		if _, element, err = actionable(ctx, w, o.Selector, false); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Selector, err)
		}
	}
	var metrics struct {
		Content  viewport `json:"cssContentSize"`
		Viewport struct {
			PageX float64 `json:"pageX"`
			PageY float64 `json:"pageY"`
		} `json:"cssVisualViewport"`
	}
	if err := w.renderer(ctx, "Page.getLayoutMetrics", nil, &metrics); err != nil {
		return nil, err
	}
	if o.FullPage {
		metrics.Content.Scale = 1
		return &metrics.Content, nil
	}
	return &viewport{element.x + metrics.Viewport.PageX, element.y + metrics.Viewport.PageY, element.width, element.height, 1}, nil
}

// clearBackground makes the page transparent where it has no background of its
// own, until restore.
func (w *WebContents) clearBackground(ctx context.Context) (restore func(), err error) {
	const method = "Emulation.setDefaultBackgroundColorOverride"
	err = w.renderer(ctx, method, map[string]any{"color": map[string]int{"r": 0, "g": 0, "b": 0, "a": 0}}, nil)
	return func() {
		w.CDP().Conn().Send(cdp.Command{Session: w.CDP(), Method: method})
	}, err
}

// PDFOptions are the options of WebContents.PDF: the parameters of
// Page.printToPDF. The zero value is Chromium's default: portrait Letter with
// margins of 1 cm. Lengths are in inches.
type PDFOptions struct {
	// Landscape turns the paper.
	Landscape bool `json:"landscape,omitzero"`
	// DisplayHeaderFooter prints HeaderTemplate and FooterTemplate, or
	// Chromium's own where one is empty.
	DisplayHeaderFooter bool `json:"displayHeaderFooter,omitzero"`
	// PrintBackground prints colours and pictures of backgrounds.
	PrintBackground bool `json:"printBackground,omitzero"`
	// Scale is that of the page, from 0.1 to 2; 0 means 1.
	Scale float64 `json:"scale,omitzero"`
	// PaperWidth and PaperHeight are the size of the paper; 0 means Letter's.
	PaperWidth  float64 `json:"paperWidth,omitzero"`
	PaperHeight float64 `json:"paperHeight,omitzero"`
	// The margins; nil means 1 cm.
	MarginTop    *float64 `json:"marginTop,omitzero"`
	MarginBottom *float64 `json:"marginBottom,omitzero"`
	MarginLeft   *float64 `json:"marginLeft,omitzero"`
	MarginRight  *float64 `json:"marginRight,omitzero"`
	// PageRanges are the pages to print, such as "1-5, 8"; empty means all.
	PageRanges string `json:"pageRanges,omitzero"`
	// HeaderTemplate and FooterTemplate are HTML; elements of the classes date,
	// title, url, pageNumber and totalPages are filled in.
	HeaderTemplate string `json:"headerTemplate,omitzero"`
	FooterTemplate string `json:"footerTemplate,omitzero"`
	// PreferCSSPageSize lets @page of the document win over the paper's size.
	PreferCSSPageSize bool `json:"preferCSSPageSize,omitzero"`
}

// PDF prints the page. It works headless only: a headful Chromium refuses. For
// options that make no sense it returns Chromium's *cdp.Error, which says which.
func (w *WebContents) PDF(ctx context.Context, o PDFOptions) ([]byte, error) {
	var b bytes.Buffer
	if err := w.WritePDF(ctx, &b, o); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// WritePDF is PDF for large documents: they are written in parts.
func (w *WebContents) WritePDF(ctx context.Context, to io.Writer, o PDFOptions) error {
	var r struct {
		Stream string `json:"stream"`
	}
	params := struct {
		PDFOptions
		TransferMode string `json:"transferMode"`
	}{o, "ReturnAsStream"}
	if err := w.renderer(ctx, "Page.printToPDF", params, &r); err != nil {
		return fmt.Errorf("printing to PDF: %w", err)
	}
	document := w.CDP().Stream(ctx, r.Stream, cdp.StreamOptions{})
	defer document.Close()
	if _, err := io.Copy(to, document); err != nil {
		return fmt.Errorf("printing to PDF: %w", w.explain(err))
	}
	return nil
}
