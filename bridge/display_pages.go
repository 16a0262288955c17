package bridge

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/internal/inpage"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

const (
	displayWorld   = "bridge-display"
	displayBinding = "bridgeDisplayCall" // there alone
	displayObject  = "globalThis.bridgeDisplay"
)

var (
	//go:embed js/display/page.js
	displayPageJS string
	//go:embed js/display/isolated.js
	displayIsolatedJS string
	//go:embed js/display/streamid.js
	streamIDJS string
)

// displayMedia gives the documents of a session what they capture. All of them
// have a script in the page's own world, because getDisplayMedia never ends in a
// Chromium where nobody picks something: it says that nothing is supported. Those of
// sessions where somebody is to be asked have one in an isolated world, too.
//
// The page captures with the id of an extension of the bridge's, which is for that
// page and that source, and for one use.
type displayMedia struct {
	session        *Session
	handler        setter[DisplayMediaRequestHandler]
	questions      *channel
	page, isolated *preload

	mu       sync.Mutex
	captures map[captureID]func() // that begin; each gives the pages back
}

// captureID is a request of a document.
type captureID struct {
	from *worldContext
	id   int
}

func newDisplayMedia(s *Session) *displayMedia {
	d := &displayMedia{session: s, captures: map[captureID]func(){}}
	d.questions = s.newChannel(displayWorld, displayBinding, d.heard)
	name := rand.Text()
	d.page = &preload{PreloadScript: PreloadScript{World: MainWorld, AllFrames: true}, immediately: true}
	d.page.text = "globalThis.MediaDevices && " + inpage.Call(displayPageJS, inpage.Own(), inpage.Talk(name)) // which insecure documents lack
	d.isolated = &preload{PreloadScript: PreloadScript{World: IsolatedWorld, AllFrames: true}, worldName: displayWorld, immediately: true}
	d.isolated.text = inpage.Call(displayIsolatedJS, inpage.Listen(name))
	return d
}

// placed is told where the session is from now on.
func (d *displayMedia) placed(at *place) {
	if at.host.process != nil { // a person's own browser is left as it is
		d.session.preloads.addOwn(displayWorld, d.page)
	}
}

// listen lets documents ask, from now to the end of the session.
func (d *displayMedia) listen() {
	if d.session.browser.remote != nil {
		return
	}
	sendAll(d.questions.use())
	d.session.preloads.addOwn(displayWorld, d.isolated)
}

type displayQuestion struct {
	Kind   string `json:"kind"`
	ID     int    `json:"id"`
	Audio  bool   `json:"audio"`
	Active bool   `json:"active"`
	URL    string `json:"url"`
	Origin string `json:"origin"`
}

// displayAnswer has the ids by which the page captures, or an error.
type displayAnswer struct {
	ID    int           `json:"id"`
	Video string        `json:"video,omitzero"`
	Audio string        `json:"audio,omitzero"`
	Error *domException `json:"error,omitzero"`
}

// heard takes what a document says. Whatever it says, it can get nothing but the
// answers for its own frame.
func (d *displayMedia) heard(m worldMessage) {
	var q displayQuestion
	if jsonv2.Unmarshal([]byte(m.text), &q, jsonv2.AllowInvalidUTF8(true)) != nil {
		return
	}
	switch q.Kind {
	case "request":
		if !ask(&m.from.requests, func() { d.answer(m, q) }) {
			m.from.address(displayObject).send("answer", displayAnswer{ID: q.ID, Error: errDisplayDenied})
		}
	case "begun":
		d.begun(captureID{m.from, q.ID})
	}
}

func (d *displayMedia) answer(m worldMessage, q displayQuestion) {
	life := m.from.life
	answer, err := d.capture(life, m, q)
	if life.Err() != nil {
		return
	}
	if err != nil {
		answer = displayAnswer{Error: errDisplayDenied}
		errors.As(err, &answer.Error)
		if err != error(answer.Error) { // there is more to it
			d.session.browser.log.Warn("a page captures nothing", "page", m.page.URL(), "error", err)
		}
	}
	answer.ID = q.ID
	m.from.address(displayObject).deliver(life, "answer", answer)
}

// capture returns by which ids a document captures what it may.
func (d *displayMedia) capture(ctx context.Context, m worldMessage, q displayQuestion) (displayAnswer, error) {
	from := m.questioner(permissionQuestion{URL: q.URL, Origin: q.Origin})
	if from.frame == nil {
		return displayAnswer{}, ErrFrameGone
	}
	r := DisplayMediaRequest{
		WebContents: m.page, Frame: from.frame, SecurityOrigin: slashed(from.origin),
		VideoRequested: true, AudioRequested: q.Audio, UserGesture: q.Active,
	}
	media, err := d.chosen(ctx, from, r)
	if err != nil {
		return displayAnswer{}, err
	}
	if err := d.take(ctx, captureID{m.from, q.ID}, m.page, media); err != nil {
		return displayAnswer{}, err
	}
	var answer displayAnswer
	if answer.Video, err = d.streamID(ctx, media.Video, m.page); err != nil {
		err = fmt.Errorf("%w: %w", errDisplayVideo, err)
	}
	switch {
	case media.Audio == media.Video:
		answer.Audio = answer.Video
	case media.Audio != nil && err == nil:
		if answer.Audio, err = d.streamID(ctx, media.Audio, m.page); err != nil {
			err = fmt.Errorf("%w: %w", errDisplayAudio, err)
		}
	}
	if err != nil {
		d.begun(captureID{m.from, q.ID})
	}
	return answer, err
}

// take waits until nobody else begins to capture the pages: an id for a page makes
// the one before it void that was not used. The consumer begins one capture after
// the other, because an id is valid for some seconds only.
func (d *displayMedia) take(ctx context.Context, id captureID, consumer *WebContents, media DisplayMedia) error {
	pages := slices.DeleteFunc([]*WebContents{consumer, media.Video, media.Audio}, func(w *WebContents) bool { return w == nil })
	slices.SortFunc(pages, func(a, b *WebContents) int { return strings.Compare(a.ID(), b.ID()) }) // or two could wait for each other
	var taken []*WebContents
	giveBack := sync.OnceFunc(func() {
		for _, page := range taken {
			page.capturing.give()
		}
	})
	for _, page := range slices.Compact(pages) {
		if err := page.capturing.take(ctx); err != nil {
			giveBack()
			return err
		}
		taken = append(taken, page)
	}
	d.mu.Lock()
	d.captures[id] = giveBack
	d.mu.Unlock()
	context.AfterFunc(ctx, func() { d.begun(id) })
	time.AfterFunc(beginning, func() { d.begun(id) })
	return nil
}

// beginning is how long a document has to use its ids, lest it holds up others.
const beginning = 5 * time.Second

// begun is told that a document has used its ids, or never will.
func (d *displayMedia) begun(id captureID) {
	d.mu.Lock()
	giveBack := d.captures[id]
	delete(d.captures, id)
	d.mu.Unlock()
	if giveBack != nil {
		giveBack()
	}
}

// streamID is the id by which one page can capture another.
func (d *displayMedia) streamID(ctx context.Context, source, consumer *WebContents) (id string, err error) {
	if source.session != d.session {
		return "", &UnsupportedError{Feature: "capturing a page of another session", Reason: "Chromium captures pages of the same browser context"}
	}
	at, err := d.session.place(ctx)
	if err != nil {
		return "", err
	}
	err = at.inExtension(ctx, captureExtension, inpage.Function(streamIDJS), &id, source.ID(), consumer.ID())
	return id, cmp.Or(context.Cause(source.life), err)
}
