package cdp

import (
	"context"
	"fmt"

	"github.com/coder/websocket"
)

// DialWebSocket connects to the browser at a ws:// or wss:// address, such as
// the webSocketDebuggerUrl of a browser started with --remote-debugging-port.
func DialWebSocket(ctx context.Context, url string) (Transport, error) {
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, fmt.Errorf("connecting to the browser at %s: %w", url, err)
	}
	c.SetReadLimit(maxFrameSize)
	life, end := context.WithCancel(context.Background())
	return &webSocket{c: c, life: life, end: end}, nil
}

type webSocket struct {
	c    *websocket.Conn
	life context.Context // of the transport, which outlives the dialling context
	end  context.CancelFunc
}

func (w *webSocket) ReadFrame() ([]byte, error) {
	_, frame, err := w.c.Read(w.life)
	return frame, err
}

func (w *webSocket) WriteFrames(frames [][]byte) error {
	for _, f := range frames {
		if err := w.c.Write(w.life, websocket.MessageText, f); err != nil {
			return err
		}
	}
	return nil
}

func (w *webSocket) Close() error {
	defer w.end()
	return w.c.CloseNow()
}
