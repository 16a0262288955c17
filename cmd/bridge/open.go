package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/examples/site"
)

// visit is what happened when a URL was opened in a session.
type visit struct {
	URL         string   `json:"url"`
	Session     string   `json:"session"`
	Persistent  bool     `json:"persistent"`
	StoragePath string   `json:"storagePath,omitempty"`
	Title       string   `json:"title,omitempty"`
	Status      int      `json:"status,omitempty"`
	LoadMillis  int64    `json:"loadMillis,omitempty"`
	Cookies     []string `json:"cookies"`
	Screenshot  string   `json:"screenshot,omitempty"`
	PDF         string   `json:"pdf,omitempty"`
	Error       string   `json:"error,omitempty"`
}

type openFlags struct {
	browserFlags
	userDataDir string
	out         string
	partition   string
	timeout     time.Duration
	json        bool
}

func newOpenCommand() *cobra.Command {
	var f openFlags
	c := &cobra.Command{
		Use:   "open [URL...]",
		Short: "Open URLs in a persistent and in an in-memory session and say what happened",
		Long: `Open each URL in a persistent session, which keeps what it learns in the user
data directory, and in a session in memory, which forgets it. Print a table of
what happened, and write a screenshot and a PDF of each page.

Without a URL the example site is opened, which this program then serves itself.`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.userDataDir, "user-data-dir", defaultDataDir(), "the directory of the persistent sessions")
	flags.StringVar(&f.out, "out", "out", "the directory for screenshots and PDFs")
	flags.StringVar(&f.partition, "partition", "open", "the name of the two sessions: persist:NAME and NAME")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long a page may take to load")
	flags.BoolVar(&f.json, "json", false, "print JSON instead of a table")
	return c
}

// defaultDataDir is where a person's programs keep data. Root's is outside of
// its home, which the unprivileged user that runs Chromium cannot enter.
func defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/cdpbridge"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "cdpbridge")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "share", "cdpbridge")
}

func (f *openFlags) run(cmd *cobra.Command, urls []string) error {
	ctx := cmd.Context()
	if f.partition == "" || strings.HasPrefix(f.partition, "persist:") {
		return &usageError{fmt.Errorf("--partition takes a name, without persist:, not %q", f.partition)}
	}
	if f.timeout <= 0 {
		return &usageError{fmt.Errorf("--timeout takes a time above zero, not %v", f.timeout)}
	}
	for i, u := range urls {
		address, err := addressOf(u)
		if err != nil {
			return &usageError{err}
		}
		urls[i] = address
	}
	if len(urls) == 0 {
		address, stop, err := serveExample()
		if err != nil {
			return err
		}
		defer stop()
		urls = []string{address}
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("the directory for screenshots cannot be made; choose another with --out: %w", err)
	}
	progress := newProgress(f.json)
	visits, err := f.visitAll(ctx, progress, urls)
	progress.done()
	if len(visits) > 0 { // also when it was interrupted
		err = errors.Join(f.report(cmd.OutOrStdout(), visits), err)
	}
	return err
}

// addressOf makes a URL of what a person types: a host gets https, a path that
// exists file.
func addressOf(text string) (string, error) {
	if info, err := os.Stat(text); err == nil && !info.IsDir() {
		abs, err := filepath.Abs(text)
		return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String(), err
	}
	u, err := url.Parse(text)
	if err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "" || u.Scheme == "file") && !strings.Contains(u.Scheme, ".") && u.Scheme != "localhost" {
		return text, nil
	}
	if err != nil && strings.Contains(text, "://") {
		return "", err
	}
	u, err = url.Parse("https://" + text)
	if err != nil || u.Host == "" || strings.ContainsAny(text, " \t\n") {
		return "", fmt.Errorf("%q is no URL", text)
	}
	return u.String(), nil
}

// exampleAddress is fixed, because cookies and storage belong to an origin: a
// second run finds what the first has left.
const exampleAddress = "127.0.0.1:8973"

// serveExample serves the example site.
func serveExample() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", exampleAddress)
	if err != nil {
		return "", nil, fmt.Errorf("the example site needs the address %s; give a URL to open something else: %w", exampleAddress, err)
	}
	server := &http.Server{Handler: site.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(l)
	return "http://" + exampleAddress + "/", func() { server.Close() }, nil
}

func (f *openFlags) visitAll(ctx context.Context, progress *progress, urls []string) (visits []visit, err error) {
	progress.step("Starting Chromium …")
	o := f.options()
	o.UserDataDir = f.userDataDir
	b, err := bridge.Launch(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for _, partition := range []string{"persist:" + f.partition, f.partition} {
		ses, err := b.FromPartition(ctx, partition, bridge.PartitionOptions{})
		if err != nil {
			return nil, err
		}
		for i, u := range urls {
			progress.step("%s: opening %s (%d of %d) …", partition, u, i+1, len(urls))
			visits = append(visits, f.visit(ctx, ses, u, i))
		}
		if err := ses.Cookies().FlushStore(ctx); err != nil {
			return nil, err
		}
	}
	progress.step("Closing …")
	return visits, nil
}

// visit opens one URL. What goes wrong is part of the result.
func (f *openFlags) visit(ctx context.Context, ses *bridge.Session, address string, n int) visit {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	v := visit{URL: address, Session: ses.Partition(), Persistent: ses.IsPersistent(), Cookies: []string{}}
	if f.userDataDir != "" { // a temporary directory keeps nothing
		v.StoragePath = ses.StoragePath()
	}
	if err := f.fill(ctx, &v, ses, n); err != nil {
		v.Error = err.Error()
	}
	return v
}

func (f *openFlags) fill(ctx context.Context, v *visit, ses *bridge.Session, n int) error {
	page, err := ses.NewPage(ctx, "")
	if err != nil {
		return err
	}
	defer page.Close(context.WithoutCancel(ctx))
	start := time.Now()
	if err := page.LoadURL(ctx, v.URL, bridge.LoadOptions{}); err != nil {
		return err
	}
	v.LoadMillis = time.Since(start).Milliseconds()
	if v.Title, err = page.Title(ctx); err != nil {
		return err
	}
	const status = `performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0`
	if v.Status, err = bridge.Evaluate[int](ctx, page, status); err != nil {
		return err
	}
	cookies, err := ses.Cookies().Get(ctx, bridge.CookieFilter{URL: cookieURL(page.URL())})
	if err != nil {
		return err
	}
	for _, c := range cookies {
		v.Cookies = append(v.Cookies, c.Name+"="+c.Value)
	}
	kind := "memory"
	if v.Persistent {
		kind = "persistent"
	}
	name := filepath.Join(f.out, fmt.Sprintf("%02d-%s-%s", n+1, fileName(v.URL), kind))
	shot, err := page.Screenshot(ctx, bridge.ScreenshotOptions{FullPage: true})
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".png", shot, 0o644); err != nil {
		return err
	}
	v.Screenshot = name + ".png"
	if f.headful { // Chromium prints headless only
		return nil
	}
	pdf, err := page.PDF(ctx, bridge.PDFOptions{PrintBackground: true})
	if err != nil {
		return err
	}
	v.PDF = name + ".pdf"
	return os.WriteFile(v.PDF, pdf, 0o644)
}

// cookieURL is the URL whose cookies are shown: none for what has no cookies.
func cookieURL(address string) string {
	if strings.HasPrefix(address, "http") {
		return address
	}
	return "http://no-cookies.invalid/"
}

var notFileName = regexp.MustCompile(`[^a-zA-Z0-9]+`)

// fileName makes a part of a file name of a URL.
func fileName(address string) string {
	_, rest, _ := strings.Cut(address, ":")
	name := strings.Trim(notFileName.ReplaceAllString(rest, "-"), "-")
	return name[:min(len(name), 60)]
}

func (f *openFlags) report(out io.Writer, visits []visit) error {
	failed := false
	for _, v := range visits {
		failed = failed || v.Error != ""
	}
	if f.json {
		if err := json.NewEncoder(out).Encode(visits); err != nil {
			return err
		}
	} else {
		printVisits(out, visits)
	}
	if failed {
		return errReported
	}
	return nil
}

func printVisits(out io.Writer, visits []visit) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tURL\tSTATUS\tTITLE\tLOADED IN\tCOOKIES")
	for _, v := range visits {
		if v.Error != "" {
			fmt.Fprintf(t, "%s\t%s\tfailed\t%s\t\t\n", v.Session, short(v.URL, 50), short(v.Error, 100))
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d ms\t%s\n", v.Session, short(v.URL, 50), v.Status, short(v.Title, 50), v.LoadMillis, short(strings.Join(v.Cookies, "; "), 60))
	}
	t.Flush()
	fmt.Fprintln(out)
	for _, v := range visits {
		storage := "in memory, forgotten now"
		switch {
		case v.StoragePath != "":
			storage = "kept in " + v.StoragePath
		case v.Persistent:
			storage = "in a temporary directory, removed now; name one to keep with --user-data-dir"
		}
		fmt.Fprintf(out, "%s  %s\n", v.Session, v.URL)
		fmt.Fprintf(out, "  storage     %s\n", storage)
		if v.Screenshot != "" {
			fmt.Fprintf(out, "  screenshot  %s\n", v.Screenshot)
		}
		if v.PDF != "" {
			fmt.Fprintf(out, "  PDF         %s\n", v.PDF)
		}
	}
}

// short cuts a text for the table, and takes out what would break it.
func short(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}
