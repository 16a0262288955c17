// Record captures frames of a real Chromium for the benchmarks of reading:
//
//	go run ./bench/cmd/record
//
// It writes bench/testdata/frames.txt.gz anew, from the root of the module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/cdpbridge/cdpbridge/bench"
)

func main() {
	if bench.RunServer() {
		return
	}
	file := flag.String("o", "bench/testdata/frames.txt.gz", "the `file` to write")
	flag.Parse()
	if err := record(*file); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(file string) (err error) {
	server, closeServer, err := bench.StartServer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeServer()) }()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return bench.Record(context.Background(), server, f)
}
