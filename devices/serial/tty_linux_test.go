package serial

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal gives the path of a pseudo terminal and its other side.
func terminal(t testing.TB) (path string, other *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	other = os.NewFile(uintptr(fd), "other side")
	t.Cleanup(func() { other.Close() })
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/dev/pts/%d", number), other
}

func opened(t testing.TB, o Options) (*tty, *os.File) {
	t.Helper()
	path, other := terminal(t)
	c, err := openTTY(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, other
}

func TestOpen_AllOptions(t *testing.T) {
	for _, rate := range []uint{50, 9600, 115200, 250000, 3000000, 1234567} {
		for _, o := range []Options{
			{},
			{DataBits: 7, StopBits: 2, Parity: EvenParity},
			{DataBits: 8, StopBits: 1, Parity: OddParity, Flow: HardwareFlowControl},
			{Parity: NoParity, Flow: NoFlowControl, BufferSize: 1 << 20},
		} {
			o.BaudRate = rate
			c, other := opened(t, o)
			got := settings(t, c)
			if got.Ospeed != uint32(rate) || got.Ispeed != uint32(rate) {
				t.Errorf("%+v: speeds %d and %d", o, got.Ispeed, got.Ospeed)
			}
			if (got.Cflag&unix.CSTOPB != 0) != (o.StopBits == 2) || (got.Cflag&unix.CRTSCTS != 0) != (o.Flow == HardwareFlowControl) ||
				(got.Cflag&unix.PARODD != 0) != (o.Parity == OddParity) {
				t.Errorf("%+v: control flags %x", o, got.Cflag)
			}
			if got.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || got.Oflag&unix.OPOST != 0 {
				t.Errorf("%+v: not raw", o)
			}
			exchange(t, c, other)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func settings(t *testing.T, c *tty) (got unix.Termios) {
	t.Helper()
	err := c.control(func(fd int) error {
		s, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
		if err == nil {
			got = *s
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// exchange sends every byte there is to both sides.
func exchange(t *testing.T, c *tty, other *os.File) {
	t.Helper()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	got := make([]byte, len(all))
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	if err := c.Drain(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(other, got); err != nil || !bytes.Equal(got, all) {
		t.Fatalf("the other side got % x, %v", got, err)
	}
	if _, err := other.Write(all); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, all) {
		t.Fatalf("read % x, %v", got, err)
	}
}

func TestOpen_RefusesWhatNoPortCanDo(t *testing.T) {
	path, _ := terminal(t)
	for _, o := range []Options{{}, {BaudRate: 9600, DataBits: 5}, {BaudRate: 9600, StopBits: 3}, {BaudRate: 9600, Parity: "mark"}, {BaudRate: 9600, Flow: "software"}} {
		if c, err := openTTY(path, o); err == nil {
			t.Errorf("%+v was taken", o)
			c.Close()
		}
	}
	if _, err := openTTY("/dev/pts/none", Options{BaudRate: 9600}); !errors.Is(err, ErrLost) {
		t.Errorf("a path without a port: %v", err)
	}
}

func TestEcho_LosesNothing(t *testing.T) {
	const size = 8 << 20
	c, other := opened(t, Options{BaudRate: 3000000})
	go io.Copy(other, other)
	sent, got := sha256.New(), sha256.New()
	wrote := make(chan error, 1)
	go func() {
		source := rand.NewChaCha8([32]byte{1})
		chunk := make([]byte, 60000)
		for left := size; left > 0; {
			n := min(left, len(chunk))
			source.Read(chunk[:n])
			clear(chunk[:n/50]) // runs of the bytes that marks are made of
			for i := range n / 50 {
				chunk[n-1-i] = 0xFF
			}
			sent.Write(chunk[:n])
			if _, err := c.Write(chunk[:n]); err != nil {
				wrote <- err
				return
			}
			left -= n
		}
		wrote <- nil
	}()
	if _, err := io.CopyN(got, c, size); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Error("other bytes came back")
	}
}

func TestRead_DoesNotWaitForAFullBuffer(t *testing.T) {
	c, other := opened(t, Options{BaudRate: 9600})
	if _, err := other.WriteString("abc"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1<<16)); n == 0 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestClose_EndsReadAndWrite(t *testing.T) {
	c, _ := opened(t, Options{BaudRate: 9600})
	ended := make(chan error, 2)
	go func() {
		_, err := c.Read(make([]byte, 10))
		ended <- err
	}()
	go func() {
		_, err := c.Write(make([]byte, 1<<20)) // nobody reads them
		ended <- err
	}()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	}
	for what, err := range map[string]error{"Drain": c.Drain(), "SetSignals": c.SetSignals(OutputSignals{}), "Discard": c.Discard(true, true)} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestHangUp_IsErrLost(t *testing.T) {
	c, other := opened(t, Options{BaudRate: 9600})
	ended := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 10))
		ended <- err
	}()
	other.Close()
	if err := <-ended; !errors.Is(err, ErrLost) {
		t.Errorf("Read ended with %v", err)
	}
	yes := true
	_, signals := c.Signals()
	_, write := c.Write([]byte("x"))
	for what, err := range map[string]error{"Write": write, "Signals": signals, "SetSignals": c.SetSignals(OutputSignals{DataTerminalReady: &yes})} {
		if !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSignals_OfAPortWithoutLines(t *testing.T) {
	c, _ := opened(t, Options{BaudRate: 9600})
	yes, no := true, false
	for _, s := range []OutputSignals{{&yes, &yes, &yes}, {&no, &no, &no}, {}} {
		if err := c.SetSignals(s); err != nil {
			t.Error(err)
		}
	}
	if s, err := c.Signals(); err != nil || s != (InputSignals{}) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDiscard_DropsWhatIsNotRead(t *testing.T) {
	c, other := opened(t, Options{BaudRate: 9600})
	if _, err := other.WriteString("oldold"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := c.Discard(true, true); err != nil {
		t.Fatal(err)
	}
	if _, err := other.WriteString("new"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestMarks_AreErrorsInTheirPlace(t *testing.T) {
	// The kernel's stream, given in pieces of every size, so that marks are cut everywhere.
	stream := []byte("a\xff\xffb\xff\x00\x00c\xff\x00xd\xff\x00\x00")
	for size := 1; size <= len(stream); size++ {
		var total counts
		m := marked{parity: true, counters: func() (counts, bool) { return total, true }, from: &pieces{stream, size}}
		total = counts{parity: 1, breaks: 1} // the second break was counted as nothing: the mark still says it
		var got []string
		for {
			p := make([]byte, 2)
			n, err := m.Read(p)
			if n > 0 {
				got = append(got, string(p[:n]))
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				got = append(got, "|"+err.Error()+"|")
			}
		}
		want := "a\xffb|break error on the line|c|parity error on the line|d|break error on the line|"
		if joined := join(got); joined != want {
			t.Errorf("in pieces of %d: %q", size, joined)
		}
	}
}

func TestMarks_OverrunIsToldOnce(t *testing.T) {
	total := counts{}
	m := marked{counters: func() (counts, bool) { return total, true }, from: &pieces{[]byte("abc"), 1}}
	total.overrun = 5
	var line *LineError
	if _, err := m.Read(make([]byte, 3)); !errors.As(err, &line) || line.Kind != OverrunError {
		t.Errorf("after an overrun: %v", err)
	}
	if n, err := m.Read(make([]byte, 3)); n != 1 || err != nil {
		t.Errorf("and then: %d, %v", n, err)
	}
}

type pieces struct {
	left []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(p.size, len(p.left))])
	p.left = p.left[n:]
	return n, nil
}

func join(parts []string) string {
	var b bytes.Buffer
	for _, part := range parts {
		b.WriteString(part)
	}
	return b.String()
}

func BenchmarkRoundTrip(b *testing.B) {
	c, other := opened(b, Options{BaudRate: 115200})
	go io.Copy(other, other)
	p := make([]byte, 1)
	for b.Loop() {
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	c, other := opened(b, Options{BaudRate: 3000000})
	chunk := make([]byte, 64<<10)
	b.SetBytes(int64(len(chunk)))
	go func() {
		for {
			if _, err := other.Write(chunk); err != nil {
				return
			}
		}
	}()
	p := make([]byte, len(chunk))
	for b.Loop() {
		if _, err := io.ReadFull(c, p); err != nil {
			b.Fatal(err)
		}
	}
}
