package chromium

import "errors"

// makeNetLogPipe refuses: a file that Chromium writes cannot be a pipe here.
func makeNetLogPipe(string, *User) (*netLogPipe, error) { return nil, errors.ErrUnsupported }
