package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg"
	_ "image/png"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// shoot takes a screenshot and decodes it.
func shoot(t testing.TB, page *WebContents, o ScreenshotOptions) image.Image {
	t.Helper()
	shot, err := page.Screenshot(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	picture, _, err := image.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

func colorAt(picture image.Image, x, y int) color.NRGBA {
	return color.NRGBAModel.Convert(picture.At(x, y)).(color.NRGBA)
}

func TestScreenshot_ShowsViewportFullPageAndElement(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	page := testPage(t, s, "")
	err := page.LoadHTML(ctx, `<!doctype html><body style="margin: 0; background: rgb(255, 0, 0)"><div style="height: 3000px"></div>
		<div id="x" style="width: 120px; height: 40px; margin-left: 30px; background: rgb(0, 0, 255)"></div>`, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	size, err := Evaluate[[2]int](ctx, page, "[innerWidth, innerHeight]")
	if err != nil {
		t.Fatal(err)
	}
	red, blue := color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}
	if shot := shoot(t, page, ScreenshotOptions{}); shot.Bounds().Size() != image.Pt(size[0], size[1]) || colorAt(shot, 5, 5) != red {
		t.Errorf("the viewport is %v in %v, want %v", shot.Bounds(), colorAt(shot, 5, 5), size)
	}
	full := shoot(t, page, ScreenshotOptions{FullPage: true})
	if full.Bounds().Dy() != 3040 || colorAt(full, 40, 3020) != blue || colorAt(full, 5, 3020) != red {
		t.Errorf("the full page is %v", full.Bounds())
	}
	if shot := shoot(t, page, ScreenshotOptions{Selector: "#x"}); shot.Bounds().Size() != image.Pt(120, 40) || colorAt(shot, 0, 0) != blue || colorAt(shot, 119, 39) != blue {
		t.Errorf("the element is %v in %v", shot.Bounds(), colorAt(shot, 0, 0))
	}
	want(t, page, "innerHeight", size[1]) // nothing is changed
}

func TestScreenshot_FormatsQualityAndTransparency(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	page := testPage(t, s, "")
	if err := page.LoadHTML(ctx, `<!doctype html><body style="margin: 0"><canvas id="c" width="600" height="400"></canvas><script>
		const g = c.getContext('2d'); for (let i = 0; i < 3000; i++) { g.fillStyle = '#' + (i * 7919 % 0xffffff).toString(16).padStart(6, '0'); g.fillRect(i * 37 % 600, i * 91 % 400, 20, 20) }</script>`, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	sizes := map[int]int{}
	for _, quality := range []int{10, 90} {
		shot, err := page.Screenshot(ctx, ScreenshotOptions{Format: "jpeg", Quality: quality})
		if err != nil {
			t.Fatal(err)
		}
		if _, format, err := image.Decode(bytes.NewReader(shot)); format != "jpeg" || err != nil {
			t.Errorf("it is %s, %v", format, err)
		}
		sizes[quality] = len(shot)
	}
	if sizes[10] >= sizes[90] {
		t.Errorf("sizes by quality: %v", sizes)
	}
	webp, err := page.Screenshot(ctx, ScreenshotOptions{Format: "webp"})
	if err != nil || len(webp) < 12 || string(webp[8:12]) != "WEBP" {
		t.Errorf("webp: %v", err)
	}
	if shot := shoot(t, page, ScreenshotOptions{Transparent: true}); colorAt(shot, 700, 5).A != 0 {
		t.Errorf("transparent: %v", colorAt(shot, 700, 5))
	}
	if shot := shoot(t, page, ScreenshotOptions{}); colorAt(shot, 700, 5) != (color.NRGBA{255, 255, 255, 255}) {
		t.Errorf("afterwards: %v", colorAt(shot, 700, 5))
	}
	for name, o := range map[string]ScreenshotOptions{"format": {Format: "gif"}, "both": {FullPage: true, Selector: "body"}, "selector": {Selector: "##"}} {
		if _, err := page.Screenshot(ctx, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var invalid *InvalidArgumentError
	if _, err := page.Screenshot(ctx, ScreenshotOptions{FullPage: true, Selector: "body"}); !errors.As(err, &invalid) {
		t.Error(err)
	}
}

func TestScreenshot_OfPagesBehindOthersAndOfSeveralAtOnce(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	var wg sync.WaitGroup
	for i := range 3 {
		page := testPage(t, s, "")
		if err := page.LoadHTML(ctx, fmt.Sprintf(`<body style="background: rgb(%d, 0, 0)">`, i*100), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range 5 {
				if c := colorAt(shoot(t, page, ScreenshotOptions{}), 50, 50); c != (color.NRGBA{uint8(i * 100), 0, 0, 255}) {
					t.Errorf("page %d is %v", i, c)
				}
			}
		})
	}
	wg.Wait()
}

var pdfPage = regexp.MustCompile(`/Type\s*/Page\b[^s]`)

func TestPDF_HasThePagesThatWereAskedFor(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	page := testPage(t, s, "")
	if err := page.LoadHTML(ctx, strings.Repeat(`<h1 style="break-after: page">page</h1>`, 3)+"<p>end", LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	zero := 0.0
	for pages, o := range map[int]PDFOptions{4: {}, 2: {PageRanges: "2-3", Landscape: true, PrintBackground: true, Scale: 0.5, MarginTop: &zero}} {
		pdf, err := page.PDF(ctx, o)
		if err != nil || !bytes.HasPrefix(pdf, []byte("%PDF-")) || len(pdfPage.FindAll(pdf, -1)) != pages {
			t.Errorf("%d pages of %d, %v", len(pdfPage.FindAll(pdf, -1)), pages, err)
		}
	}
	for name, o := range map[string]PDFOptions{"range": {PageRanges: "90-91"}, "no range": {PageRanges: "x"}, "scale": {Scale: 100}} {
		if _, err := page.PDF(ctx, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := page.WritePDF(ctx, failingWriter{}, PDFOptions{}); !errors.Is(err, errFull) {
		t.Errorf("a writer that fails: %v", err)
	}
}

var errFull = errors.New("the disk is full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }
