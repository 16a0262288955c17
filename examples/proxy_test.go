package examples

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// Two sessions side by side go to the network by different ways, and one of them
// decides about each request.
func Example_proxy() {
	ctx, b, server, end := start()
	defer end()
	office := b.DefaultSession()
	check(office.SetProxy(ctx, bridge.ProxyConfig{
		ProxyRules:       "http=proxy.example:3128;https=secure.example:8443,direct://",
		ProxyBypassRules: "*.intranet.example",
	}))
	lab, err := b.FromPartition(ctx, "lab", bridge.PartitionOptions{})
	check(err)
	check(lab.SetProxyFunc(ctx, func(_ context.Context, u *url.URL) (string, error) {
		if strings.HasSuffix(u.Hostname(), ".example") {
			return "", errors.New("the lab stays here") // never directly
		}
		return "DIRECT", nil
	}))

	for _, address := range []string{"http://shop.example/", "https://shop.example/", "http://wiki.intranet.example/"} {
		way, err := office.ResolveProxy(ctx, address)
		check(err)
		fmt.Println(address, way)
	}
	_, err = lab.NewPage(ctx, "http://shop.example/")
	var failed *bridge.LoadError
	fmt.Println(errors.As(err, &failed))
	_, err = lab.NewPage(ctx, server)
	check(err)
	// Output:
	// http://shop.example/ PROXY proxy.example:3128
	// https://shop.example/ PROXY secure.example:8443;DIRECT
	// http://wiki.intranet.example/ DIRECT
	// true
}
