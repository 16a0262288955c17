package endpoint

import (
	"context"
	"iter"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// follow begins to tell the events that need no answer. It goes on until the client
// has gone; whoever disabled the domain is not told.
func (d *domain) follow() {
	d.once.Do(func() {
		tell(d, d.session.Cookies().Changes(d.life), "cookieChanged", func(c bridge.CookieChange) any {
			return map[string]any{"cookie": c.Cookie, "cause": c.Cause, "removed": c.Removed}
		})
		tell(d, d.session.Preconnects(d.life), "preconnectRequested", same[bridge.PreconnectHint])
		workers := d.session.ServiceWorkers()
		tell(d, workers.ConsoleMessages(d.life), "serviceWorkerConsoleMessage", same[bridge.ServiceWorkerMessage])
		tell(d, workers.RegistrationCompleted(d.life), "serviceWorkerRegistrationCompleted", same[bridge.ServiceWorkerRegistration])
		tell(d, workers.RunningStatusChanged(d.life), "serviceWorkerRunningStatusChanged", same[bridge.ServiceWorkerStatus])
		downloads := d.session.Downloads(d.life)
		d.work.Go(func() {
			for item := range downloads {
				d.followDownload(item)
			}
		})
		tellDevices(d, d.session.HIDDeviceEvents, "hidDevice", "device")
		tellDevices(d, d.session.SerialPortEvents, "serialPort", "port")
		tellDevices(d, d.session.USBDeviceEvents, "usbDevice", "device")
	})
}

func same[E any](e E) any { return e }

// tell tells what an iterator gives.
func tell[E any](d *domain, events iter.Seq[E], name string, fields func(E) any) {
	d.work.Go(func() {
		for e := range events {
			d.emit(name, fields(e))
		}
	})
}

func tellDevices[D any](d *domain, events func(context.Context) iter.Seq[bridge.DeviceEvent[D]], prefix, field string) {
	happened := map[bridge.DeviceEventType]string{bridge.DeviceAdded: "Added", bridge.DeviceRemoved: "Removed", bridge.DeviceRevoked: "Revoked"}
	seq := events(d.life)
	d.work.Go(func() {
		for e := range seq {
			fields := map[string]any{field: e.Device}
			if e.WebContents != nil {
				fields["targetId"] = e.WebContents.ID()
			}
			if e.Frame != nil {
				fields["frameId"] = e.Frame.ID
			}
			d.emit(prefix+happened[e.Type], fields)
		}
	})
}
