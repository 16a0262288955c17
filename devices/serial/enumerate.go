//go:build windows || (darwin && cgo)

package serial

import (
	"path/filepath"
	"strconv"

	"go.bug.st/serial/enumerator"
)

func enumerate() ([]Port, error) {
	details, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, err
	}
	list := []Port{}
	for _, d := range details {
		p := Port{PortName: filepath.Base(d.Name), Path: d.Name}
		vendor, err1 := strconv.ParseUint(d.VID, 16, 16)
		product, err2 := strconv.ParseUint(d.PID, 16, 16)
		if d.IsUSB && err1 == nil && err2 == nil {
			p.VendorID, p.ProductID = strconv.FormatUint(vendor, 10), strconv.FormatUint(product, 10)
			p.DisplayName, p.SerialNumber = d.Product, d.SerialNumber
		}
		list = append(list, p)
	}
	return list, nil
}
