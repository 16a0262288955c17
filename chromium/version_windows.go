package chromium

import (
	"context"
	"fmt"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// versionText reads the version resource of the executable, because chrome.exe
// --version opens a window on Windows instead of answering.
func versionText(_ context.Context, binary string) (string, error) {
	size, err := windows.GetFileVersionInfoSize(binary, nil)
	if err != nil {
		return "", err
	}
	block := make([]byte, size)
	if err := windows.GetFileVersionInfo(binary, 0, size, unsafe.Pointer(&block[0])); err != nil {
		return "", err
	}
	var info *windows.VS_FIXEDFILEINFO
	var length uint32
	if err := windows.VerQueryValue(unsafe.Pointer(&block[0]), `\`, unsafe.Pointer(&info), &length); err != nil {
		return "", err
	}
	product := map[string]string{"chrome.exe": "Chrome", "msedge.exe": "Microsoft Edge"}[filepath.Base(binary)]
	if product == "" {
		product = filepath.Base(binary)
	}
	return fmt.Sprintf("%s %d.%d.%d.%d", product,
		info.FileVersionMS>>16, info.FileVersionMS&0xffff, info.FileVersionLS>>16, info.FileVersionLS&0xffff), nil
}
