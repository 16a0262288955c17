// Package cdp is a connection to a browser that speaks the Chrome DevTools
// Protocol: transport, router, sessions, target tree, interception and hidden
// pages. It knows the protocol and nothing of what is built on it.
//
// Invariants:
//
//   - One goroutine reads a connection, and it never waits: not for a handler,
//     not for a command, not for a full queue.
//   - A frame is routed by its envelope. Its body is decoded only by who asked
//     for it, in that one's goroutine.
//   - Each subscriber has a bounded queue of its own, with a stated policy for
//     the day it is full. A slow subscriber harms itself only.
//   - A call ends with its answer, its context, its session or its connection,
//     whichever comes first.
//   - The order of the frames of a connection is kept for each subscriber.
package cdp
