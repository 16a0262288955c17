package chromium
import ("testing";"time")
func TestDbg(t *testing.T){
	for i:=0;i<3;i++{
	h := startHost(t, Options{Flags: Stock})
	r,_ := h.Pipe(); r.SetReadDeadline(time.Now().Add(8*time.Second))
	var target struct{ TargetID string }
	t0:=time.Now()
	h.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	h.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	s:=attached.SessionID
	h.send(s, "Page.enable", nil)
	h.send(s, "Page.navigate", map[string]any{"url": "data:text/html,<title>stock</title>"})
	for { d,err:=h.messages.ReadBytes(0); if err!=nil {break}; if len(d)>250 {d=d[:250]}; t.Log(time.Since(t0), string(d)) }
	t.Log(h.Log())
	}
}
