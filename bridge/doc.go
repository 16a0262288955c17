// Package bridge controls a real, unmodified Chromium and gives it sessions as
// Electron has them: partitions on disk and in memory, each with settings of its
// own that change while pages are open.
//
//	b, err := bridge.Launch(ctx, bridge.Options{})
//	defer b.Close()
//	ses, err := b.FromPartition(ctx, "persist:shop", bridge.PartitionOptions{})
//	page, err := ses.NewPage(ctx, "https://example.test/")
//	title, err := bridge.Evaluate[string](ctx, page, "document.title")
//
// # Processes
//
// A host is one Chromium process tree with a directory of its own. The default
// session and every other persistent session is the default browser context of
// its own host. Sessions in memory are further browser contexts; they share
// hosts, or get one each with PartitionOptions.OwnProcess.
//
// # Handlers and events
//
// What asks the program has one setter for one answerer. What only tells has an
// iterator that any number of listeners can range over. A handler runs in a
// goroutine of its own; one that panics is logged, answered with the safe
// default and harms nothing else.
package bridge
