package examples

import (
	"context"
	"fmt"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// One handler answers what pages ask for, and another one what they are told that
// they may do.
func Example_permissions() {
	ctx, b, server, end := start()
	defer end()
	s := b.DefaultSession()
	s.SetPermissionRequestHandler(func(_ context.Context, r bridge.PermissionRequest) bool {
		return r.Permission == bridge.PermissionPersistentStorage
	})
	s.SetPermissionCheckHandler(func(_ context.Context, c bridge.PermissionCheck) bool {
		return c.Permission != bridge.PermissionNotifications
	})

	page, err := s.NewPage(ctx, server)
	check(err)
	for _, question := range []string{
		`navigator.storage.persist().then(String)`,
		`navigator.clipboard.readText().catch(error => error.name)`,
		`navigator.permissions.query({name: "geolocation"}).then(status => status.state)`,
		`Notification.permission`,
	} {
		answer, err := bridge.Evaluate[string](ctx, page, question)
		check(err)
		fmt.Println(answer)
	}
	// Output:
	// true
	// NotAllowedError
	// granted
	// denied
}
