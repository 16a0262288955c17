package endpoint

import (
	"encoding/json"
	"net/http"
	"sync"

	protocols "github.com/cdpbridge/cdpbridge/docs/protocol"
)

// description is the description of the protocol with the domain Session.
type description struct {
	mu   sync.Mutex
	text []byte
}

// protocol is /json/protocol.
func (s *Server) protocol(w http.ResponseWriter, r *request) {
	s.description.mu.Lock()
	defer s.description.mu.Unlock()
	if s.description.text == nil {
		chromiums, err := s.browser.ProtocolDescription(r.Context())
		if err == nil {
			s.description.text, err = withSession(chromiums)
		}
		if err != nil {
			fail(w, err)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Write(s.description.text)
}

// withSession adds the domain Session to a description.
func withSession(text []byte) ([]byte, error) {
	var all struct {
		Version json.RawMessage   `json:"version"`
		Domains []json.RawMessage `json:"domains"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	all.Domains = append(all.Domains, protocols.Session())
	return json.Marshal(all)
}
