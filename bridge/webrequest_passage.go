package bridge

import (
	"context"
	"slices"
	"time"
)

// passage is the way of one request through the listeners of a session,
// whatever carries it. Who carries it calls the methods in this order, one after
// the other, and does what the results say:
//
//	beforeRequest, beforeSendHeaders, sendHeaders, headersReceived, then
//	beforeRedirect and all of it again with the new URL, or
//	responseStarted and completed;
//	errorOccurred in the place of any.
type passage struct {
	web  *WebRequest
	ctx  context.Context // ends when the request needs no answer any more
	life context.Context // of who is only told

	RequestDetails
	parts requestURL // of the URL
	heard bool       // by any listener, when it began or was redirected
}

// newPassage returns the passage of a request that needs answers as long as ctx
// lasts. Its details come with moveTo.
func newPassage(ctx context.Context, w *WebRequest) passage {
	return passage{web: w, ctx: ctx, life: w.session.life}
}

// moveTo begins the passage, or goes on with it where a redirect leads.
func (p *passage) moveTo(d RequestDetails) {
	p.RequestDetails, p.parts, p.heard = d, parseRequestURL(d.URL), p.web.heard()
}

// details are those of an event now.
func (p *passage) details() RequestDetails {
	d := p.RequestDetails
	d.Timestamp = time.Now()
	return d
}

// eachListener calls the listeners of an event that the request is for, until
// one ends the round.
func eachListener[L any](ctx context.Context, p *passage, event string, of *requestListeners[L], call func(L) (done bool)) {
	if !p.heard {
		return
	}
	for _, l := range of.present() {
		if ctx.Err() != nil {
			return
		}
		if !l.filter.matches(&p.parts, p.ResourceType) {
			continue
		}
		done := false
		p.web.safely(event, func() { done = call(l.call) })
		if done {
			return
		}
	}
}

func (p *passage) beforeRequest() (result BeforeRequestResult) {
	eachListener(p.ctx, p, "OnBeforeRequest", &p.web.beforeRequest, func(l func(context.Context, *BeforeRequestDetails) BeforeRequestResult) bool {
		result = l(p.ctx, &BeforeRequestDetails{p.details()})
		return result.Cancel || result.RedirectURL != ""
	})
	return result
}

// beforeSendHeaders asks for headers only when somebody listens. The headers of
// the result are nil if nobody has changed them.
func (p *passage) beforeSendHeaders(headers func() Headers) (result BeforeSendHeadersResult) {
	var was, now Headers
	eachListener(p.ctx, p, "OnBeforeSendHeaders", &p.web.beforeSendHeaders, func(l func(context.Context, *BeforeSendHeadersDetails) BeforeSendHeadersResult) bool {
		if now == nil {
			was = headers()
			now = was
		}
		r := l(p.ctx, &BeforeSendHeadersDetails{p.details(), slices.Clone(now)})
		if r.RequestHeaders != nil {
			now = r.RequestHeaders.toSend()
		}
		result.Cancel = r.Cancel
		return r.Cancel
	})
	if !slices.Equal(was, now) {
		result.RequestHeaders = now
	}
	return result
}

func (p *passage) sendHeaders(headers Headers) {
	eachListener(p.life, p, "OnSendHeaders", &p.web.sendHeaders, func(l func(context.Context, *SendHeadersDetails)) bool {
		l(p.life, &SendHeadersDetails{p.details(), slices.Clone(headers)})
		return false
	})
}

// headersReceived returns the response as it is to be, and whether anybody has
// changed it.
func (p *passage) headersReceived(response ResponseDetails) (now ResponseDetails, changed, cancel bool) {
	now = response
	eachListener(p.ctx, p, "OnHeadersReceived", &p.web.headersReceived, func(l func(context.Context, *HeadersReceivedDetails) HeadersReceivedResult) bool {
		r := l(p.ctx, &HeadersReceivedDetails{p.details(), now.clone()})
		if r.ResponseHeaders != nil {
			now.ResponseHeaders = r.ResponseHeaders.toShow()
			if code, _, ok := parseStatusLine(r.StatusLine); ok {
				now.StatusLine, now.StatusCode = r.StatusLine, code
			}
		}
		cancel = r.Cancel
		return cancel
	})
	changed = now.StatusLine != response.StatusLine || !slices.Equal(now.ResponseHeaders, response.ResponseHeaders)
	return now, changed, cancel
}

func (p *passage) beforeRedirect(response ResponseDetails, to string) {
	eachListener(p.life, p, "OnBeforeRedirect", &p.web.beforeRedirect, func(l func(context.Context, *BeforeRedirectDetails)) bool {
		l(p.life, &BeforeRedirectDetails{p.details(), response.clone(), to})
		return false
	})
}

func (p *passage) responseStarted(response ResponseDetails) {
	eachListener(p.life, p, "OnResponseStarted", &p.web.responseStarted, func(l func(context.Context, *ResponseStartedDetails)) bool {
		l(p.life, &ResponseStartedDetails{p.details(), response.clone()})
		return false
	})
}

func (p *passage) completed(response ResponseDetails, result string) {
	eachListener(p.life, p, "OnCompleted", &p.web.completed, func(l func(context.Context, *CompletedDetails)) bool {
		l(p.life, &CompletedDetails{p.details(), response.clone(), result})
		return false
	})
}

func (p *passage) errorOccurred(fromCache bool, reason string) {
	eachListener(p.life, p, "OnErrorOccurred", &p.web.errorOccurred, func(l func(context.Context, *ErrorOccurredDetails)) bool {
		l(p.life, &ErrorOccurredDetails{p.details(), fromCache, reason})
		return false
	})
}

func (r ResponseDetails) clone() ResponseDetails {
	r.ResponseHeaders = slices.Clone(r.ResponseHeaders)
	return r
}
