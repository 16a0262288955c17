package endpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/cdpbridge/cdpbridge/bridge"
)

var protocolRequests = &questionKind{event: "protocolRequest", answer: "answerProtocolRequest"}

// protocolCommands are the commands on schemes that clients answer.
func protocolCommands() map[string]sessionCommand {
	return map[string]sessionCommand{
		"protocolHandle":        protocolHandle,
		"protocolUnhandle":      protocolUnhandle,
		"protocolIsHandled":     protocolIsHandled,
		"answerProtocolRequest": answerProtocolRequest,
	}
}

type schemeParams struct {
	Scheme string `json:"scheme"`
}

func protocolHandle(_ context.Context, d *domain, in params) (any, error) {
	var p schemeParams
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	questions, key := d.client.server.questions, handlerKey{session: d.session, kind: protocolRequests, of: p.Scheme}
	session := d.session
	return nil, questions.arm(key, armed{domain: d, sessionID: in.sessionID, install: func() (func(), error) {
		err := session.Protocol().Handle(p.Scheme, func(r *http.Request) (*http.Response, error) {
			return questions.protocolResponse(key, r)
		})
		return func() { session.Protocol().Unhandle(p.Scheme) }, err
	}})
}

func protocolUnhandle(_ context.Context, d *domain, in params) (any, error) {
	var p schemeParams
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	d.client.server.questions.disarm(handlerKey{session: d.session, kind: protocolRequests, of: p.Scheme}, d)
	return nil, nil
}

func protocolIsHandled(_ context.Context, d *domain, in params) (any, error) {
	var p schemeParams
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	return map[string]any{"handled": d.session.Protocol().IsProtocolHandled(p.Scheme)}, nil
}

type protocolAnswer struct {
	answered
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	Path    string            `json:"path"`
	URL     string            `json:"url"`
	Error   *bridge.NetError  `json:"error"`
}

// answerProtocolRequest takes an answer that names no file and no URL which the
// client's token does not open.
func answerProtocolRequest(_ context.Context, d *domain, in params) (any, error) {
	var a protocolAnswer
	if err := in.decode(&a); err != nil {
		return nil, err
	}
	if a.Path != "" {
		if err := d.mayUse(a.Path); err != nil {
			return nil, err
		}
	}
	if err := d.mayFetch(a.URL); err != nil {
		return nil, err
	}
	return nil, d.client.server.questions.answer(d, protocolRequests, a.RequestID, in)
}

// protocolResponse has a client answer a request.
func (q *questions) protocolResponse(key handlerKey, r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxFetched))
	if err != nil {
		return nil, err
	}
	headers := map[string]string{}
	for name := range r.Header {
		headers[name] = r.Header.Get(name)
	}
	fields := map[string]any{"url": r.URL.String(), "method": r.Method, "headers": headers, "referrer": r.Referer()}
	if len(body) > 0 {
		fields["uploadData"] = []map[string]any{{"bytes": body}}
	}
	in, ok := q.ask(r.Context(), key, fields)
	var a protocolAnswer
	if !ok || in.decode(&a) != nil {
		return nil, errors.New("the client that answers has gone")
	}
	return a.response(r.Context(), key.session)
}

func (a protocolAnswer) response(ctx context.Context, s *bridge.Session) (*http.Response, error) {
	response := &http.Response{StatusCode: a.Status, Header: http.Header{}, ContentLength: -1}
	switch {
	case a.Error != nil:
		return nil, *a.Error
	case a.URL != "":
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL, nil)
		if err != nil {
			return nil, err
		}
		return s.Fetch(request, bridge.FetchOptions{BypassCustomProtocolHandlers: true})
	case a.Path != "":
		file, err := os.Open(a.Path)
		if err != nil {
			return nil, err
		}
		response.Body = file
	default:
		response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(a.Body)), int64(len(a.Body))
	}
	if response.StatusCode == 0 {
		response.StatusCode = http.StatusOK
	}
	for name, value := range a.Headers {
		response.Header.Set(name, value)
	}
	return response, nil
}
