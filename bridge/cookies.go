package bridge

// Cookies are the cookies of a session: Electron's Cookies.
type Cookies struct {
	session *Session
}

func newCookies(s *Session) *Cookies { return &Cookies{session: s} }
