package bridge

import (
	"context"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestCertificateErrors_AHandlerDecides(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	trusts, refuses := namedSession(t, "trusts"), namedSession(t, "refuses")
	asked := make(chan CertificateErrorRequest, 10)
	decide := func(goOn bool) func(context.Context, CertificateErrorRequest) bool {
		return func(_ context.Context, r CertificateErrorRequest) bool {
			asked <- r
			return goOn
		}
	}
	t.Run("APP-0590 is told", func(t *testing.T) {
		trusts.SetCertificateErrorHandler(decide(true))
		page := testPage(t, trusts, server.TLSURL(fixture.SelfSignedHost, "/page/trusted"))
		want(t, page, `document.title`, "trusted")
		if r := next(t, asked); r.WebContents != page || r.URL != server.TLSURL(fixture.SelfSignedHost, "/page/trusted") || r.Error != "net::ERR_CERT_AUTHORITY_INVALID" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("APP-0607 refuses", func(t *testing.T) {
		page := testPage(t, refuses, server.URL("a.test", "/"))
		refuses.SetCertificateErrorHandler(decide(false))
		if code := loadCode(page.LoadURL(testContext(t), server.TLSURL(fixture.SelfSignedHost, "/"), LoadOptions{})); code != "net::ERR_ABORTED" {
			t.Error(code)
		}
		next(t, asked)
	})
	t.Run("is removed", func(t *testing.T) {
		trusts.SetCertificateErrorHandler(nil)
		page := testPage(t, trusts, server.URL("a.test", "/"))
		want(t, page, `fetch("`+server.TLSURL(fixture.ExpiredHost, "/small")+`", {mode: "no-cors"}).then(() => "answered", e => e.name)`, "TypeError")
		if len(asked) > 0 {
			t.Errorf("it was asked: %+v", <-asked)
		}
	})
	t.Run("panics", func(t *testing.T) {
		trusts.SetCertificateErrorHandler(func(context.Context, CertificateErrorRequest) bool { panic("of the handler") })
		page := testPage(t, trusts, server.URL("a.test", "/"))
		want(t, page, `fetch("`+server.TLSURL(fixture.ExpiredHost, "/small")+`", {mode: "no-cors"}).then(() => "answered", e => e.name)`, "TypeError")
	})
}
