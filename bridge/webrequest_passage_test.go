package bridge

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// handMade is a request that no browser makes.
type handMade struct{}

func (handMade) referrer() string         { return "http://from.test/" }
func (handMade) uploadData() []UploadData { return nil }
func (handMade) frame() *Frame            { return nil }

func TestPassage_TakesARequestOfAnySourceThroughTheListeners(t *testing.T) {
	w := memorySession(t).WebRequest()
	var log []string
	added := webRequestAdded(t)
	only := WebRequestFilter{URLs: []string{"atom://app/*"}}
	added(w.OnBeforeRequest(only, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		log = append(log, fmt.Sprint("request ", d.ID, " ", d.URL, " from ", d.Referrer()))
		return BeforeRequestResult{}
	}))
	added(w.OnBeforeSendHeaders(only, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
		d.RequestHeaders.Set("X-Mine", "1")
		return BeforeSendHeadersResult{RequestHeaders: d.RequestHeaders}
	}))
	added(w.OnSendHeaders(only, func(_ context.Context, d *SendHeadersDetails) {
		log = append(log, fmt.Sprint("sent ", d.RequestHeaders))
	}))
	added(w.OnHeadersReceived(only, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
		return HeadersReceivedResult{ResponseHeaders: Headers{{Name: "X-Back", Value: "2"}}, StatusLine: "HTTP/1.1 203 Mine"}
	}))
	added(w.OnResponseStarted(only, func(_ context.Context, d *ResponseStartedDetails) {
		log = append(log, fmt.Sprint("started ", d.StatusLine, d.ResponseHeaders))
	}))
	added(w.OnCompleted(only, func(_ context.Context, d *CompletedDetails) { log = append(log, "completed "+d.Error) }))
	added(w.OnErrorOccurred(only, func(_ context.Context, d *ErrorOccurredDetails) { log = append(log, "error "+d.Error) }))

	ctx, end := context.WithCancel(t.Context())
	p := newPassage(ctx, w)
	for _, url := range []string{"atom://app/x", "atom://other/x"} { // the second is for none of them
		p.moveTo(RequestDetails{ID: 7, URL: url, Method: "GET", ResourceType: ResourceXHR, source: handMade{}})
		p.beforeRequest()
		headers := Headers{{Name: "Accept", Value: "*/*"}}
		if r := p.beforeSendHeaders(func() Headers { return headers }); r.RequestHeaders != nil {
			headers = r.RequestHeaders
		}
		p.sendHeaders(headers)
		response, _, _ := p.headersReceived(ResponseDetails{StatusLine: "HTTP/1.1 200 OK", StatusCode: 200})
		p.responseStarted(response)
		p.completed(response, "net::OK")
	}
	end()
	p.moveTo(RequestDetails{URL: "atom://app/late", source: handMade{}})
	p.beforeRequest() // needs no answer any more, so nobody is asked
	p.errorOccurred(false, "net::ERR_ABORTED")
	want := []string{"request 7 atom://app/x from http://from.test/", "sent [{Accept */*} {X-Mine 1}]", "started HTTP/1.1 203 Mine[{X-Back 2}]", "completed net::OK", "error net::ERR_ABORTED"}
	if !slices.Equal(log, want) {
		t.Errorf("the listeners were told\n%q, want\n%q", log, want)
	}
}

func TestHeaders_AreFoundInAnyCaseAndKeepTheirs(t *testing.T) {
	h := Headers{{Name: "X-a", Value: "1"}, {Name: "B", Value: "2"}, {Name: "x-A", Value: "3"}}
	if h.Get("X-A") != "1" || !slices.Equal(h.Values("x-a"), []string{"1", "3"}) || h.Get("none") != "" {
		t.Errorf("it has %q and %q", h.Get("X-A"), h.Values("x-a"))
	}
	h.Set("X-A", "4")
	h.Add("b", "5")
	if want := (Headers{{Name: "X-A", Value: "4"}, {Name: "B", Value: "2"}, {Name: "b", Value: "5"}}); !slices.Equal(h, want) {
		t.Errorf("after Set and Add it is %v", h)
	}
	h.Del("B")
	h.Set("New", "6")
	if want := (Headers{{Name: "X-A", Value: "4"}, {Name: "New", Value: "6"}}); !slices.Equal(h, want) {
		t.Errorf("after Del and Set it is %v", h)
	}
}
