package endpoint

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// sessionCommands are the commands of the domain that are not questions.
func sessionCommands() map[string]sessionCommand {
	return map[string]sessionCommand{
		"getInfo":                        getInfo,
		"getCacheSize":                   getCacheSize,
		"clearCache":                     plain((*bridge.Session).ClearCache),
		"clearCodeCaches":                clearCodeCaches,
		"setCodeCachePath":               setCodeCachePath,
		"clearHostResolverCache":         plain((*bridge.Session).ClearHostResolverCache),
		"clearAuthCache":                 plain((*bridge.Session).ClearAuthCache),
		"closeAllConnections":            plain((*bridge.Session).CloseAllConnections),
		"forceReloadProxyConfig":         plain((*bridge.Session).ForceReloadProxyConfig),
		"flushStorageData":               plain((*bridge.Session).FlushStorageData),
		"disableNetworkEmulation":        plain((*bridge.Session).DisableNetworkEmulation),
		"clearStorageData":               clearStorageData,
		"clearData":                      clearData,
		"setProxy":                       setProxy,
		"resolveProxy":                   resolveProxy,
		"resolveHost":                    resolveHost,
		"enableNetworkEmulation":         enableNetworkEmulation,
		"preconnect":                     preconnect,
		"setSSLConfig":                   setSSLConfig,
		"allowNTLMCredentialsForDomains": allowNTLM,
		"setUserAgent":                   setUserAgent,
		"getUserAgent":                   getUserAgent,
		"isPersistent":                   isPersistent,
		"getStoragePath":                 getStoragePath,
		"getBlobData":                    getBlobData,
		"setPreloads":                    setPreloads,
		"getPreloads":                    getPreloads,
		"registerPreloadScript":          registerPreloadScript,
		"unregisterPreloadScript":        unregisterPreloadScript,
		"getPreloadScripts":              getPreloadScripts,
		"cookiesGet":                     cookiesGet,
		"cookiesSet":                     cookiesSet,
		"cookiesRemove":                  cookiesRemove,
		"cookiesFlushStore":              cookiesFlushStore,
		"netLogStart":                    netLogStart,
		"netLogStop":                     netLogStop,
		"netLogCurrentlyLogging":         netLogCurrentlyLogging,
		"serviceWorkersGetAllRunning":    serviceWorkersGetAllRunning,
		"serviceWorkersGetFromVersionID": serviceWorkersGetFromVersionID,
		"fetch":                          fetch,
		"getDevices":                     getDevices,
	}
}

// none are the parameters of a command that has none.
type none struct{}

func plain(call func(*bridge.Session, context.Context) error) sessionCommand {
	return func(ctx context.Context, d *domain, in params) (any, error) {
		if err := in.decode(&none{}); err != nil {
			return nil, err
		}
		return nil, call(d.session, ctx)
	}
}

// orNull is null in the place of an empty text.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func getInfo(ctx context.Context, d *domain, in params) (any, error) {
	if err := in.decode(&none{}); err != nil {
		return nil, err
	}
	userAgent, err := d.session.GetUserAgent(ctx)
	if err != nil {
		return nil, err
	}
	id, err := d.session.BrowserContextID(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"partition": d.session.Partition(), "persistent": d.session.IsPersistent(), "storagePath": orNull(d.session.StoragePath()),
		"userAgent": userAgent, "browserContextId": id,
	}, nil
}

func getCacheSize(ctx context.Context, d *domain, in params) (any, error) {
	if err := in.decode(&none{}); err != nil {
		return nil, err
	}
	size, err := d.session.GetCacheSize(ctx)
	return map[string]any{"size": size}, err
}

func clearCodeCaches(ctx context.Context, d *domain, in params) (any, error) {
	var o bridge.ClearCodeCachesOptions
	if err := in.decode(&o); err != nil {
		return nil, err
	}
	return nil, d.session.ClearCodeCaches(ctx, o)
}

func setCodeCachePath(_ context.Context, d *domain, in params) (any, error) {
	var p struct {
		Path string `json:"path"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	return nil, d.session.SetCodeCachePath(p.Path)
}

func clearStorageData(ctx context.Context, d *domain, in params) (any, error) {
	var o bridge.ClearStorageOptions
	if err := in.decode(&o); err != nil {
		return nil, err
	}
	return nil, d.session.ClearStorageData(ctx, o)
}

func clearData(ctx context.Context, d *domain, in params) (any, error) {
	var o bridge.ClearDataOptions
	if err := in.decode(&o); err != nil {
		return nil, err
	}
	return nil, d.session.ClearData(ctx, o)
}

func setProxy(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Mode             string `json:"mode"`
		PACScript        string `json:"pacScript"`
		ProxyRules       string `json:"proxyRules"`
		ProxyBypassRules string `json:"proxyBypassRules"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	if err := d.mayFetch(p.PACScript); err != nil {
		return nil, err
	}
	return nil, d.session.SetProxy(ctx, bridge.ProxyConfig{Mode: p.Mode, PACScript: p.PACScript, ProxyRules: p.ProxyRules, ProxyBypassRules: p.ProxyBypassRules})
}

// mayFetch refuses to read a file of this machine for the holder of a scoped token.
func (d *domain) mayFetch(address string) error {
	scheme, _, _ := strings.Cut(strings.TrimSpace(address), ":")
	if d.scope != nil && strings.EqualFold(scheme, "file") {
		return errors.New(address + " is not open to this token")
	}
	return nil
}

func resolveProxy(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		URL string `json:"url"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	proxy, err := d.session.ResolveProxy(ctx, p.URL)
	return map[string]any{"proxy": proxy}, err
}

func resolveHost(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Host      string `json:"host"`
		QueryType string `json:"queryType"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	endpoints, err := d.session.ResolveHost(ctx, p.Host, bridge.ResolveHostOptions{QueryType: p.QueryType})
	return map[string]any{"endpoints": endpoints}, err
}

func enableNetworkEmulation(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Offline            bool    `json:"offline"`
		Latency            float64 `json:"latency"`
		DownloadThroughput float64 `json:"downloadThroughput"`
		UploadThroughput   float64 `json:"uploadThroughput"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	return nil, d.session.EnableNetworkEmulation(ctx, bridge.NetworkEmulation{
		Offline: p.Offline, Latency: time.Duration(p.Latency * float64(time.Millisecond)),
		DownloadThroughput: p.DownloadThroughput, UploadThroughput: p.UploadThroughput,
	})
}

func preconnect(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		URL        string `json:"url"`
		NumSockets *int   `json:"numSockets"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	o := bridge.PreconnectOptions{URL: p.URL}
	if p.NumSockets != nil {
		if o.NumSockets = *p.NumSockets; o.NumSockets == 0 {
			o.NumSockets = -1 // which is refused, and 0 in Go is the default
		}
	}
	return nil, d.session.Preconnect(ctx, o)
}

func setSSLConfig(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		MinVersion           string   `json:"minVersion"`
		MaxVersion           string   `json:"maxVersion"`
		DisabledCipherSuites []uint16 `json:"disabledCipherSuites"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	return nil, d.session.SetSSLConfig(ctx, bridge.SSLConfig{MinVersion: p.MinVersion, MaxVersion: p.MaxVersion, DisabledCipherSuites: p.DisabledCipherSuites})
}

func allowNTLM(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Domains string `json:"domains"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	if d.scope != nil {
		return nil, errScoped
	}
	return nil, d.session.AllowNTLMCredentialsForDomains(ctx, p.Domains)
}

func setUserAgent(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		UserAgent       string `json:"userAgent"`
		AcceptLanguages string `json:"acceptLanguages"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	return nil, d.session.SetUserAgent(ctx, p.UserAgent, p.AcceptLanguages)
}

func getUserAgent(ctx context.Context, d *domain, in params) (any, error) {
	if err := in.decode(&none{}); err != nil {
		return nil, err
	}
	userAgent, err := d.session.GetUserAgent(ctx)
	return map[string]any{"userAgent": userAgent}, err
}

func isPersistent(_ context.Context, d *domain, in params) (any, error) {
	return map[string]any{"persistent": d.session.IsPersistent()}, in.decode(&none{})
}

func getStoragePath(_ context.Context, d *domain, in params) (any, error) {
	return map[string]any{"path": orNull(d.session.StoragePath())}, in.decode(&none{})
}

func getBlobData(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Identifier string `json:"identifier"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	data, err := d.session.GetBlobData(ctx, p.Identifier)
	return map[string]any{"data": base64.StdEncoding.EncodeToString(data)}, err
}

func setPreloads(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Preloads []string `json:"preloads"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	if err := d.mayUse(p.Preloads...); err != nil {
		return nil, err
	}
	return nil, d.session.SetPreloads(ctx, p.Preloads)
}

func getPreloads(_ context.Context, d *domain, in params) (any, error) {
	return map[string]any{"preloads": append([]string{}, d.session.GetPreloads()...)}, in.decode(&none{})
}

func registerPreloadScript(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Type     string `json:"type"`
		FilePath string `json:"filePath"`
		Source   string `json:"source"`
		ID       string `json:"id"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	if p.FilePath != "" {
		if err := d.mayUse(p.FilePath); err != nil {
			return nil, err
		}
	}
	id, err := d.session.RegisterPreloadScript(ctx, bridge.PreloadScript{Type: p.Type, FilePath: p.FilePath, Source: p.Source, ID: p.ID})
	return map[string]any{"id": id}, err
}

func unregisterPreloadScript(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		ID string `json:"id"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	return nil, d.session.UnregisterPreloadScript(ctx, p.ID)
}

func getPreloadScripts(_ context.Context, d *domain, in params) (any, error) {
	return map[string]any{"scripts": append([]bridge.PreloadScript{}, d.session.GetPreloadScripts()...)}, in.decode(&none{})
}

func cookiesGet(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Filter bridge.CookieFilter `json:"filter"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	cookies, err := d.session.Cookies().Get(ctx, p.Filter)
	return map[string]any{"cookies": cookies}, err
}

func cookiesSet(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Details bridge.CookieDetails `json:"details"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	return nil, d.session.Cookies().Set(ctx, p.Details)
}

func cookiesRemove(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		URL  string `json:"url"`
		Name string `json:"name"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	return nil, d.session.Cookies().Remove(ctx, p.URL, p.Name)
}

func cookiesFlushStore(ctx context.Context, d *domain, in params) (any, error) {
	if err := in.decode(&none{}); err != nil {
		return nil, err
	}
	return nil, d.session.Cookies().FlushStore(ctx)
}

func netLogStart(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Path        string `json:"path"`
		CaptureMode string `json:"captureMode"`
		MaxFileSize int64  `json:"maxFileSize"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	if err := d.mayUse(p.Path); err != nil {
		return nil, err
	}
	return nil, d.session.NetLog().StartLogging(ctx, p.Path, bridge.NetLogOptions{CaptureMode: p.CaptureMode, MaxFileSize: p.MaxFileSize})
}

func netLogStop(ctx context.Context, d *domain, in params) (any, error) {
	if err := in.decode(&none{}); err != nil {
		return nil, err
	}
	return nil, d.session.NetLog().StopLogging(ctx)
}

func netLogCurrentlyLogging(_ context.Context, d *domain, in params) (any, error) {
	return map[string]any{"currentlyLogging": d.session.NetLog().CurrentlyLogging()}, in.decode(&none{})
}

func serviceWorkersGetAllRunning(ctx context.Context, d *domain, in params) (any, error) {
	if err := in.decode(&none{}); err != nil {
		return nil, err
	}
	running, err := d.session.ServiceWorkers().GetAllRunning(ctx)
	workers := map[string]bridge.ServiceWorkerInfo{}
	for id, info := range running {
		workers[fmt.Sprint(id)] = info
	}
	return map[string]any{"workers": workers}, err
}

func serviceWorkersGetFromVersionID(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		VersionID int64 `json:"versionId"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	worker, err := d.session.ServiceWorkers().GetFromVersionID(ctx, p.VersionID)
	return map[string]any{"worker": worker}, err
}

// maxFetched is the largest body of a fetch, each way.
const maxFetched = 32 << 20

func fetch(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		URL         string            `json:"url"`
		Method      string            `json:"method"`
		Headers     map[string]string `json:"headers"`
		Body        []byte            `json:"body"`
		Redirect    string            `json:"redirect"`
		Credentials string            `json:"credentials"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	if err := d.mayFetch(p.URL); err != nil {
		return nil, err
	}
	if len(p.Body) > maxFetched {
		return nil, &paramsError{errors.New("the body has more than 32 MiB")}
	}
	request, err := http.NewRequestWithContext(ctx, p.Method, p.URL, bytes.NewReader(p.Body))
	if err != nil {
		return nil, &paramsError{err}
	}
	for name, value := range p.Headers {
		request.Header.Set(name, value)
	}
	response, err := d.session.Fetch(request, bridge.FetchOptions{Redirect: p.Redirect, Credentials: p.Credentials})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFetched+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxFetched {
		return nil, errors.New("the body of the response has more than 32 MiB")
	}
	headers := map[string]string{}
	for name, values := range response.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	address := p.URL
	if response.Request != nil {
		address = response.Request.URL.String()
	}
	return map[string]any{"status": response.StatusCode, "headers": headers, "body": base64.StdEncoding.EncodeToString(body), "url": address}, nil
}

func getDevices(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Type string `json:"type"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	devices, err := d.session.Devices(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]any{"hid": devices.HID, "serial": devices.Serial, "usb": devices.USB}
	for kind := range all {
		if p.Type != "" && kind != p.Type {
			all[kind] = []any{}
		}
	}
	return all, nil
}
