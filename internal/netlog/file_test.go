package netlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk is a file on a disk that has room for so many bytes.
type smallDisk struct {
	*os.File
	room int
}

func (d *smallDisk) Write(b []byte) (int, error) {
	at, err := d.Seek(0, 1)
	if err != nil {
		return 0, err
	}
	if left := d.room - int(at); left < len(b) {
		n, err := d.File.Write(b[:max(0, left)])
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return d.File.Write(b)
}

func createFile(t *testing.T, limit int64) (f *File, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "net.json")
	f, err := Create(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

// readEvents are the events of a file, which must be whole.
func readEvents(t *testing.T, path string) []int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Constants map[string]any       `json:"constants"`
		Events    []struct{ Type int } `json:"events"`
	}
	if err := json.Unmarshal(data, &document); err != nil || document.Constants == nil {
		t.Fatalf("%v in %s", err, data)
	}
	types := []int{}
	for i, e := range document.Events {
		if e.Type != i {
			t.Errorf("event %d is %d", i, e.Type)
		}
		types = append(types, e.Type)
	}
	return types
}

func numbered(n int) []byte { return fmt.Appendf(nil, `{"params":{"x":"a,\nb"},"type":%d}`, n) }

func TestFile_IsWholeWhereverTheDiskIsFull(t *testing.T) {
	for room := 60; room < 400; room++ {
		f, path := createFile(t, 0)
		f.disk = &smallDisk{f.disk.(*os.File), room}
		if err := f.Start([]byte(`{"c":1}`), false); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			f.Event(numbered(i))
			if i%3 == 0 {
				f.Flush()
			}
		}
		if err := f.Close(nil); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("with room for %d bytes: %v", room, err)
		}
		got := len(readEvents(t, path))
		if fits := (room - 40) / (len(numbered(0)) + 2); got < fits-3 || got > fits {
			t.Errorf("with room for %d bytes there are %d events, of %d that fit", room, got, fits)
		}
	}
}

func TestFile_StopsAtItsLimit(t *testing.T) {
	for limit := int64(60); limit < 400; limit += 7 {
		f, path := createFile(t, limit)
		if err := f.Start([]byte(`{"c":1}`), false); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			f.Event(numbered(i))
		}
		if err := f.Close(nil); err != nil {
			t.Error(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() > limit || info.Size() < limit-int64(len(numbered(0))+3) {
			t.Errorf("the file has %d bytes of %d, %v", info.Size(), limit, err)
		}
		readEvents(t, path)
	}
}

func TestFile_ConstantsGrowUntilTheEnd(t *testing.T) {
	f, path := createFile(t, 0)
	if err := f.Start([]byte(`{"a":1}`), true); err != nil {
		t.Fatal(err)
	}
	f.Event(numbered(0))
	if err := errors.Join(f.Close([]byte(`{"a":1,"b":"`+strings.Repeat("b", 5000)+`"}`)), f.Close(nil)); err != nil {
		t.Error(err)
	}
	data, _ := os.ReadFile(path)
	if len(readEvents(t, path)) != 1 || !strings.Contains(string(data), "bbbb") {
		t.Error("the new constants are not there")
	}
}

func TestFile_NamedPipesAreRefused(t *testing.T) {
	if _, err := Create(os.DevNull, 0); err == nil {
		t.Error("a device was taken")
	}
}

func TestStrip(t *testing.T) {
	for _, c := range []struct{ event, plain, sensitive string }{
		{
			`{"params":{"headers":["Host: a","Cookie: a=1; b=2","authorization: Basic eA==","WWW-Authenticate: NTLM abcd","Proxy-Authenticate: Basic realm=\"x\""],"line":"GET / HTTP/1.1\r\n"},"phase":0,"time":"9007199254740993","type":1}`,
			`{"params":{"headers":["Host: a","Cookie: [8 bytes were stripped]","authorization: [10 bytes were stripped]","WWW-Authenticate: NTLM [4 bytes were stripped]","Proxy-Authenticate: Basic realm=\"x\""],"line":"GET / HTTP/1.1\r\n"},"phase":0,"time":"9007199254740993","type":1}`,
			``,
		},
		{
			`{"params":{"byte_count":9007199254740993,"bytes":"AAAA"},"type":2}`,
			`{"params":{"byte_count":9007199254740993},"type":2}`,
			`{"params":{"byte_count":9007199254740993},"type":2}`,
		},
		{
			`{"params":{"domain":"a","httponly":false,"name":"n","path":"/","value":"v"},"type":3}`,
			`{"type":3}`,
			``,
		},
		{
			`{"params":{"domain":"a","name":"n","operation":"send","path":"/","status":"INCLUDE"},"type":4}`,
			`{"params":{"operation":"send","status":"INCLUDE"},"type":4}`,
			``,
		},
	} {
		if got := string(Strip([]byte(c.event), Default)); got != c.plain {
			t.Errorf("default:\n%s, want\n%s", got, c.plain)
		}
		if c.sensitive == "" {
			c.sensitive = c.event
		}
		if got := string(Strip([]byte(c.event), IncludeSensitive)); got != c.sensitive {
			t.Errorf("includeSensitive:\n%s, want\n%s", got, c.sensitive)
		}
		if got := string(Strip([]byte(c.event), Everything)); got != c.event {
			t.Errorf("everything:\n%s", got)
		}
	}
	if got := Strip([]byte(`{"params":{"cookie":{"constants":`), Default); got != nil {
		t.Errorf("a torn line: %s", got)
	}
}

func TestLive_FindsConstantsAndEvents(t *testing.T) {
	long := strings.Repeat("x", 600_000)
	live := NewLive(strings.NewReader("{\"constants\":{\"logCaptureMode\":\"Everything\"},\n\"events\": [\n{\"type\":0},\n{\"params\":{\"a\":[\"" + long + "\"]},\"type\":1}],\n\"polledData\": [{}]\n}\n"))
	var constants, events []string
	for {
		c, e, err := live.Next()
		if err != nil {
			break
		}
		if c != nil {
			constants = append(constants, string(WithMode(c, Everything, Default)))
		}
		if e != nil {
			events = append(events, string(e))
		}
	}
	if len(constants) != 1 || constants[0] != `{"logCaptureMode":"Default"}` {
		t.Errorf("constants %q", constants)
	}
	if len(events) != 2 || events[0] != `{"type":0}` || events[1] != `{"params":{"a":["`+long+`"]},"type":1}` {
		t.Errorf("%d events", len(events))
	}
}

func FuzzTracer(f *testing.F) {
	f.Add([]byte{0x0a, 0x02, 0x50, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		var tracer Tracer
		trace, _ := tracer.Read(data)
		c, err := NewConstants(Client{})
		if err != nil {
			t.Fatal(err)
		}
		events, _ := trace.Events(c)
		for _, e := range events {
			if !json.Valid(e) {
				t.Errorf("%q is no JSON", e)
			}
		}
	})
}
