package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// The kinds of questions.
var (
	permissionRequests = &questionKind{event: "permissionRequested", answer: "answerPermissionRequest", closes: true}
	permissionChecks   = &questionKind{event: "permissionChecked", answer: "answerPermissionCheck", closes: true}
	devicePermissions  = &questionKind{event: "devicePermissionChecked", answer: "answerDevicePermission", closes: true}
	certificates       = &questionKind{event: "certificateVerify", answer: "answerCertificateVerify"}
	hidChoices         = &questionKind{event: "selectHidDevice", answer: "answerSelectHidDevice"}
	serialChoices      = &questionKind{event: "selectSerialPort", answer: "answerSelectSerialPort"}
	usbChoices         = &questionKind{event: "selectUsbDevice", answer: "answerSelectUsbDevice"}
	bluetoothChoices   = &questionKind{event: "selectBluetoothDevice", answer: "answerSelectBluetoothDevice"}
	webRequests        = &questionKind{event: "webRequest", answer: "answerWebRequest", each: true}
	displayMedia       = &questionKind{event: "displayMediaRequested", answer: "answerDisplayMedia"}
	auths              = &questionKind{event: "authRequired", answer: "answerAuth"}
)

// questionCommands are the commands that arm handlers and answer questions.
func questionCommands() map[string]sessionCommand {
	return map[string]sessionCommand{
		"setPermissionRequestHandler":   armer(permissionRequests, setPermissionRequests),
		"setPermissionCheckHandler":     armer(permissionChecks, setPermissionChecks),
		"setDevicePermissionHandler":    armer(devicePermissions, setDevicePermissions),
		"setCertificateVerifyProc":      armer(certificates, setCertificates),
		"setAuthHandler":                armer(auths, setAuths),
		"setDisplayMediaRequestHandler": armer(displayMedia, setDisplayMedia),
		"setDeviceChooser":              setDeviceChooser,
		"setWebRequestListener":         setWebRequestListener,
		"answerPermissionRequest":       answerer[grantedAnswer](permissionRequests),
		"answerPermissionCheck":         answerer[grantedAnswer](permissionChecks),
		"answerDevicePermission":        answerer[grantedAnswer](devicePermissions),
		"answerCertificateVerify":       answerer[certificateAnswer](certificates),
		"answerAuth":                    answerer[authAnswer](auths),
		"answerDisplayMedia":            answerer[displayMediaAnswer](displayMedia),
		"answerSelectHidDevice":         answerer[deviceAnswer](hidChoices),
		"answerSelectSerialPort":        answerer[deviceAnswer](serialChoices),
		"answerSelectUsbDevice":         answerer[deviceAnswer](usbChoices),
		"answerSelectBluetoothDevice":   answerer[deviceAnswer](bluetoothChoices),
		"answerWebRequest":              answerer[webRequestAnswer](webRequests),
	}
}

// answered is what every answer has.
type answered struct {
	RequestID string `json:"requestId"`
}

func (a answered) id() string { return a.RequestID }

// answerer takes the answers to a kind of questions. One that cannot be read leaves the
// question open.
func answerer[A interface{ id() string }](kind *questionKind) sessionCommand {
	return func(_ context.Context, d *domain, in params) (any, error) {
		var a A
		if err := in.decode(&a); err != nil {
			return nil, err
		}
		return nil, d.client.server.questions.answer(d, kind, a.id(), in)
	}
}

// asker asks the handler of a kind in a session.
type asker func(ctx context.Context, fields map[string]any, answer any) (ok bool)

func (q *questions) asker(key handlerKey) asker {
	return func(ctx context.Context, fields map[string]any, answer any) bool {
		in, ok := q.ask(ctx, key, fields)
		return ok && in.decode(answer) == nil
	}
}

// armer arms and disarms a handler by {enabled}.
func armer(kind *questionKind, set func(ctx context.Context, s *bridge.Session, ask asker) error) sessionCommand {
	return func(ctx context.Context, d *domain, in params) (any, error) {
		var p struct {
			Enabled bool `json:"enabled"`
		}
		if err := in.decode(&p); err != nil {
			return nil, err
		}
		return nil, d.arm(ctx, in.sessionID, kind, p.Enabled, set)
	}
}

func (d *domain) arm(ctx context.Context, sessionID string, kind *questionKind, enabled bool, set func(ctx context.Context, s *bridge.Session, ask asker) error) error {
	questions, key := d.client.server.questions, handlerKey{session: d.session, kind: kind}
	if !enabled {
		questions.disarm(key, d)
		return nil
	}
	session := d.session
	return questions.arm(key, armed{domain: d, sessionID: sessionID, install: func() (func(), error) {
		err := set(ctx, session, questions.asker(key))
		return func() { set(context.Background(), session, nil) }, err
	}})
}

type grantedAnswer struct {
	answered
	Granted bool `json:"granted"`
}

func setPermissionRequests(_ context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		s.SetPermissionRequestHandler(nil)
		return nil
	}
	s.SetPermissionRequestHandler(func(ctx context.Context, r bridge.PermissionRequest) bool {
		details := map[string]any{"requestingUrl": r.RequestingURL, "requestingOrigin": r.RequestingOrigin, "isMainFrame": r.IsMainFrame}
		optional(details, "securityOrigin", r.SecurityOrigin)
		optional(details, "externalURL", r.ExternalURL)
		optional(details, "filePath", r.FilePath)
		optional(details, "fileAccessType", r.FileAccessType)
		if r.FilePath != "" {
			details["isDirectory"] = r.IsDirectory
		}
		if r.Permission == bridge.PermissionMedia {
			details["mediaTypes"] = append([]string{}, r.MediaTypes...)
		}
		fields := map[string]any{"permission": r.Permission, "details": details}
		ofPage(fields, r.WebContents, r.Frame)
		var a grantedAnswer
		return ask(ctx, fields, &a) && a.Granted
	})
	return nil
}

// optional sets a field that is not empty.
func optional(fields map[string]any, name, value string) {
	if value != "" {
		fields[name] = value
	}
}

// ofPage says which page and frame something is of.
func ofPage(fields map[string]any, page *bridge.WebContents, frame *bridge.Frame) {
	if page != nil {
		fields["targetId"] = page.ID()
	}
	if frame != nil {
		fields["frameId"] = frame.ID
	}
}

func setPermissionChecks(_ context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		s.SetPermissionCheckHandler(nil)
		return nil
	}
	s.SetPermissionCheckHandler(func(ctx context.Context, c bridge.PermissionCheck) bool {
		details := map[string]any{"requestingUrl": c.RequestingURL, "isMainFrame": c.IsMainFrame, "embeddingOrigin": c.EmbeddingOrigin}
		optional(details, "securityOrigin", c.SecurityOrigin)
		optional(details, "mediaType", c.MediaType)
		optional(details, "filePath", c.FilePath)
		optional(details, "fileAccessType", c.FileAccessType)
		fields := map[string]any{"permission": c.Permission, "requestingOrigin": c.RequestingOrigin, "details": details}
		ofPage(fields, c.WebContents, nil)
		var a grantedAnswer
		return ask(ctx, fields, &a) && a.Granted
	})
	return nil
}

func setDevicePermissions(_ context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		s.SetDevicePermissionHandler(nil)
		return nil
	}
	s.SetDevicePermissionHandler(func(ctx context.Context, p bridge.DevicePermission) bool {
		fields := map[string]any{"deviceType": p.DeviceType, "origin": p.Origin}
		switch {
		case p.HID != nil:
			fields["device"] = p.HID
		case p.Serial != nil:
			fields["device"] = p.Serial
		case p.USB != nil:
			fields["device"] = p.USB
		}
		var a grantedAnswer
		return ask(ctx, fields, &a) && a.Granted
	})
	return nil
}

type certificateAnswer struct {
	answered
	VerificationResult int `json:"verificationResult"`
}

func setCertificates(ctx context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		return s.SetCertificateVerifyProc(ctx, nil)
	}
	return s.SetCertificateVerifyProc(ctx, func(ctx context.Context, r bridge.CertificateVerifyRequest) bridge.CertificateVerdict {
		fields := map[string]any{
			"hostname": r.Hostname, "certificate": r.Certificate, "validatedCertificate": r.ValidatedCertificate,
			"isIssuedByKnownRoot": r.IsIssuedByKnownRoot, "verificationResult": r.VerificationResult, "errorCode": r.ErrorCode,
		}
		var a certificateAnswer
		if !ask(ctx, fields, &a) {
			return bridge.UseDefaultVerdict
		}
		return bridge.CertificateVerdict(a.VerificationResult)
	})
}

type authAnswer struct {
	answered
	Username *string `json:"username"`
	Password string  `json:"password"`
}

func setAuths(_ context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		s.SetAuthHandler(nil)
		return nil
	}
	s.SetAuthHandler(func(ctx context.Context, r bridge.AuthRequest) (bridge.Credentials, bool) {
		fields := map[string]any{"url": r.URL, "isProxy": r.IsProxy, "scheme": r.Scheme, "host": r.Host, "port": r.Port, "realm": r.Realm}
		ofPage(fields, r.WebContents, nil)
		var a authAnswer
		if !ask(ctx, fields, &a) || a.Username == nil {
			return bridge.Credentials{}, false
		}
		return bridge.Credentials{Username: *a.Username, Password: a.Password}, true
	})
	return nil
}

type displayMediaAnswer struct {
	answered
	Video string `json:"video"`
	Audio string `json:"audio"`
}

func setDisplayMedia(_ context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		s.SetDisplayMediaRequestHandler(nil)
		return nil
	}
	s.SetDisplayMediaRequestHandler(func(ctx context.Context, r bridge.DisplayMediaRequest) (bridge.DisplayMedia, error) {
		fields := map[string]any{
			"securityOrigin": r.SecurityOrigin, "videoRequested": r.VideoRequested, "audioRequested": r.AudioRequested, "userGesture": r.UserGesture,
		}
		ofPage(fields, r.WebContents, r.Frame)
		var a displayMediaAnswer
		if !ask(ctx, fields, &a) {
			return bridge.DisplayMedia{}, errors.New("nobody chose what to capture")
		}
		return bridge.DisplayMedia{Video: pageOf(s, a.Video), Audio: pageOf(s, a.Audio)}, nil
	})
	return nil
}

// deviceAnswer chooses a device; none cancels.
type deviceAnswer struct {
	answered
	DeviceID string `json:"deviceId"`
	PortID   string `json:"portId"`
}

func setDeviceChooser(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		HID       *bool `json:"hid"`
		Serial    *bool `json:"serial"`
		USB       *bool `json:"usb"`
		Bluetooth *bool `json:"bluetooth"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		on   *bool
		kind *questionKind
		set  func(context.Context, *bridge.Session, asker) error
	}{{p.HID, hidChoices, setHIDChooser}, {p.Serial, serialChoices, setSerialChooser}, {p.USB, usbChoices, setUSBChooser}, {p.Bluetooth, bluetoothChoices, setBluetoothChooser}} {
		if c.on == nil {
			continue
		}
		if err := d.arm(ctx, in.sessionID, c.kind, *c.on, c.set); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// choose has the client choose.
func choose(ask asker, choice *bridge.DeviceChoice, fields map[string]any) {
	choice.PreventDefault()
	var a deviceAnswer
	if !ask(choice.Context(), fields, &a) {
		a = deviceAnswer{}
	}
	choice.Select(a.DeviceID + a.PortID) // an error is of a page that has gone
}

func setHIDChooser(_ context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		s.OnSelectHIDDevice(nil)
		return nil
	}
	s.OnSelectHIDDevice(func(e *bridge.SelectHIDDeviceEvent) {
		fields := map[string]any{"deviceList": e.Devices}
		ofPage(fields, e.WebContents, e.Frame)
		choose(ask, e.DeviceChoice, fields)
	})
	return nil
}

func setSerialChooser(_ context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		s.OnSelectSerialPort(nil)
		return nil
	}
	s.OnSelectSerialPort(func(e *bridge.SelectSerialPortEvent) {
		fields := map[string]any{"portList": e.Ports}
		ofPage(fields, e.WebContents, e.Frame)
		choose(ask, e.DeviceChoice, fields)
	})
	return nil
}

func setUSBChooser(_ context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		s.OnSelectUSBDevice(nil)
		return nil
	}
	s.OnSelectUSBDevice(func(e *bridge.SelectUSBDeviceEvent) {
		fields := map[string]any{"deviceList": e.Devices}
		ofPage(fields, e.WebContents, e.Frame)
		choose(ask, e.DeviceChoice, fields)
	})
	return nil
}

func setBluetoothChooser(_ context.Context, s *bridge.Session, ask asker) error {
	if ask == nil {
		s.OnSelectBluetoothDevice(nil)
		return nil
	}
	s.OnSelectBluetoothDevice(func(e *bridge.SelectBluetoothDeviceEvent) {
		fields := map[string]any{"deviceList": e.Devices}
		ofPage(fields, e.WebContents, nil)
		choose(ask, e.DeviceChoice, fields)
	})
	return nil
}

type webRequestAnswer struct {
	answered
	Cancel          bool              `json:"cancel"`
	RedirectURL     string            `json:"redirectURL"`
	RequestHeaders  map[string]string `json:"requestHeaders"`
	ResponseHeaders map[string]any    `json:"responseHeaders"`
	StatusLine      string            `json:"statusLine"`
}

func setWebRequestListener(_ context.Context, d *domain, in params) (any, error) {
	var p struct {
		Event  string `json:"event"`
		Filter struct {
			URLs        []string              `json:"urls"`
			ExcludeURLs []string              `json:"excludeUrls"`
			Types       []bridge.ResourceType `json:"types"`
		} `json:"filter"`
		Enabled bool `json:"enabled"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	questions, key := d.client.server.questions, handlerKey{session: d.session, kind: webRequests, of: p.Event}
	listen := webRequestListeners()[p.Event]
	if listen == nil {
		return nil, &paramsError{fmt.Errorf("%q is no event of webRequest", p.Event)}
	}
	if !p.Enabled {
		questions.disarm(key, d)
		return nil, nil
	}
	filter := bridge.WebRequestFilter{URLs: p.Filter.URLs, ExcludeURLs: p.Filter.ExcludeURLs, Types: p.Filter.Types}
	ask := questions.asker(key)
	return nil, questions.arm(key, armed{domain: d, sessionID: in.sessionID, install: func() (func(), error) {
		return listen(d.session.WebRequest(), filter, ask, func(fields map[string]any) { questions.tell(key, fields) })
	}})
}

// tell tells the client that armed a handler last what needs no answer.
func (q *questions) tell(key handlerKey, fields map[string]any) {
	q.mu.Lock()
	var to armed
	if h := q.handlers[key]; h != nil && len(h.armed) > 0 {
		to = h.armed[len(h.armed)-1]
	}
	q.mu.Unlock()
	if to.domain != nil {
		to.domain.question(to.sessionID, key.kind.event, fields)
	}
}

type webRequestListener func(w *bridge.WebRequest, f bridge.WebRequestFilter, ask asker, tell func(map[string]any)) (remove func(), err error)

// webRequestListeners are those of each event.
func webRequestListeners() map[string]webRequestListener {
	return map[string]webRequestListener{
		"onBeforeRequest": func(w *bridge.WebRequest, f bridge.WebRequestFilter, ask asker, _ func(map[string]any)) (func(), error) {
			return w.OnBeforeRequest(f, func(ctx context.Context, r *bridge.BeforeRequestDetails) (result bridge.BeforeRequestResult) {
				details := requestDetails(&r.RequestDetails)
				uploads := []map[string]any{}
				for _, part := range r.UploadData() {
					uploads = append(uploads, map[string]any{"bytes": part.Bytes})
				}
				if details["uploadData"] = uploads; len(uploads) == 0 {
					delete(details, "uploadData")
				}
				var a webRequestAnswer
				if ask(ctx, event("onBeforeRequest", details), &a) {
					result.Cancel, result.RedirectURL = a.Cancel, a.RedirectURL
				}
				return result
			})
		},
		"onBeforeSendHeaders": func(w *bridge.WebRequest, f bridge.WebRequestFilter, ask asker, _ func(map[string]any)) (func(), error) {
			return w.OnBeforeSendHeaders(f, func(ctx context.Context, r *bridge.BeforeSendHeadersDetails) (result bridge.BeforeSendHeadersResult) {
				details := requestDetails(&r.RequestDetails)
				details["requestHeaders"] = single(r.RequestHeaders)
				var a webRequestAnswer
				if ask(ctx, event("onBeforeSendHeaders", details), &a) {
					result.Cancel = a.Cancel
					if a.RequestHeaders != nil {
						result.RequestHeaders = bridge.Headers{}
						for name, value := range a.RequestHeaders {
							result.RequestHeaders.Add(name, value)
						}
					}
				}
				return result
			})
		},
		"onHeadersReceived": func(w *bridge.WebRequest, f bridge.WebRequestFilter, ask asker, _ func(map[string]any)) (func(), error) {
			return w.OnHeadersReceived(f, func(ctx context.Context, r *bridge.HeadersReceivedDetails) (result bridge.HeadersReceivedResult) {
				details := responseDetails(requestDetails(&r.RequestDetails), &r.ResponseDetails)
				var a webRequestAnswer
				if ask(ctx, event("onHeadersReceived", details), &a) {
					result.Cancel, result.StatusLine = a.Cancel, a.StatusLine
					if a.ResponseHeaders != nil {
						result.ResponseHeaders = lists(a.ResponseHeaders)
					}
				}
				return result
			})
		},
		"onSendHeaders": func(w *bridge.WebRequest, f bridge.WebRequestFilter, _ asker, tell func(map[string]any)) (func(), error) {
			return w.OnSendHeaders(f, func(_ context.Context, r *bridge.SendHeadersDetails) {
				details := requestDetails(&r.RequestDetails)
				details["requestHeaders"] = single(r.RequestHeaders)
				tell(event("onSendHeaders", details))
			})
		},
		"onBeforeRedirect": func(w *bridge.WebRequest, f bridge.WebRequestFilter, _ asker, tell func(map[string]any)) (func(), error) {
			return w.OnBeforeRedirect(f, func(_ context.Context, r *bridge.BeforeRedirectDetails) {
				details := responseDetails(requestDetails(&r.RequestDetails), &r.ResponseDetails)
				details["redirectURL"] = r.RedirectURL
				tell(event("onBeforeRedirect", details))
			})
		},
		"onResponseStarted": func(w *bridge.WebRequest, f bridge.WebRequestFilter, _ asker, tell func(map[string]any)) (func(), error) {
			return w.OnResponseStarted(f, func(_ context.Context, r *bridge.ResponseStartedDetails) {
				tell(event("onResponseStarted", responseDetails(requestDetails(&r.RequestDetails), &r.ResponseDetails)))
			})
		},
		"onCompleted": func(w *bridge.WebRequest, f bridge.WebRequestFilter, _ asker, tell func(map[string]any)) (func(), error) {
			return w.OnCompleted(f, func(_ context.Context, r *bridge.CompletedDetails) {
				details := responseDetails(requestDetails(&r.RequestDetails), &r.ResponseDetails)
				details["error"] = r.Error
				tell(event("onCompleted", details))
			})
		},
		"onErrorOccurred": func(w *bridge.WebRequest, f bridge.WebRequestFilter, _ asker, tell func(map[string]any)) (func(), error) {
			return w.OnErrorOccurred(f, func(_ context.Context, r *bridge.ErrorOccurredDetails) {
				details := requestDetails(&r.RequestDetails)
				details["fromCache"], details["error"] = r.FromCache, r.Error
				tell(event("onErrorOccurred", details))
			})
		},
	}
}

func event(name string, details map[string]any) map[string]any {
	return map[string]any{"event": name, "details": details}
}

func requestDetails(r *bridge.RequestDetails) map[string]any {
	details := map[string]any{
		"id": r.ID, "url": r.URL, "method": r.Method, "resourceType": r.ResourceType, "referrer": r.Referrer(),
		"timestamp": float64(r.Timestamp.UnixNano()) / float64(time.Millisecond),
	}
	ofPage(details, r.WebContents, r.Frame())
	return details
}

func responseDetails(details map[string]any, r *bridge.ResponseDetails) map[string]any {
	headers := map[string][]string{}
	for _, h := range r.ResponseHeaders {
		headers[h.Name] = append(headers[h.Name], h.Value)
	}
	details["statusLine"], details["statusCode"], details["responseHeaders"] = r.StatusLine, r.StatusCode, headers
	details["fromCache"] = r.FromCache
	optional(details, "ip", r.IP)
	return details
}

// single are headers with one value each.
func single(headers bridge.Headers) map[string]string {
	out := map[string]string{}
	for _, h := range headers {
		if earlier, twice := out[h.Name]; twice {
			h.Value = strings.Join([]string{earlier, h.Value}, ", ")
		}
		out[h.Name] = h.Value
	}
	return out
}

// lists are headers whose values are texts or lists of them.
func lists(headers map[string]any) bridge.Headers {
	out := bridge.Headers{}
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values, several := headers[name].([]any)
		if !several {
			values = []any{headers[name]}
		}
		for _, value := range values {
			out.Add(name, fmt.Sprint(value))
		}
	}
	return out
}
