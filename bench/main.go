// Command bench measures what the README states, each figure as a ratio of two
// things timed in the same run, so that it means the same on another machine.
//
// It starts the gateway as a process of its own (this program again, with
// serve), fills it over MLLP and HTTP like any sender, and reads its memory
// from outside.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench serve:", err)
			os.Exit(1)
		}
		return
	}
	b := bench{}
	flag.IntVar(&b.small, "small", 10_000, "patients in the small store")
	flag.IntVar(&b.large, "large", 1_000_000, "patients in the large store; 0 leaves growth out")
	flag.DurationVar(&b.each, "each", 8*time.Second, "time for each load")
	flag.IntVar(&b.connections, "connections", 16, "connections of each load")
	flag.StringVar(&b.dir, "dir", "", "folder for the stores, kept between runs; default a temporary one")
	flag.StringVar(&b.stream, "stream", filepath.Join(cmp.Or(os.Getenv("FIREBREAK_SHARED"), "../shared"), "corpus", "hl7v2", "simhospital", "stream.hl7.gz"), "HL7 v2 messages to send")
	flag.StringVar(&b.only, "only", "", "measure one part: mapping, ingest, reads or timing")
	flag.StringVar(&b.profiles, "profiles", "", "folder for CPU profiles of the server; they slow it a little")
	flag.Parse()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	small, large int
	each         time.Duration
	connections  int
	dir, stream  string
	profiles     string
	only         string
	base         figures // of the small store
	servers      []*server
	rows         []row
	peak         int64 // resident memory of the server, bytes
}

// row is one figure: what, how much, and against what it was promised.
type row struct {
	what, measured, promised string
	holds                    bool
}

func (b *bench) row(holds bool, what, promised, format string, args ...any) {
	b.rows = append(b.rows, row{what, fmt.Sprintf(format, args...), promised, holds})
	fmt.Fprintf(os.Stderr, "  %-52s %s\n", what, fmt.Sprintf(format, args...))
}

func (b *bench) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() { // no server outlives the bench, however it ends
		cancel()
		for _, s := range b.servers {
			_ = s.cmd.Wait()
		}
	}()
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "firebreak-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		b.dir = dir
	}
	parts := []func(context.Context) error{b.mapping, b.ingest, b.reads, b.growth, b.timing}
	switch b.only {
	case "":
	case "mapping":
		parts = parts[:1]
	case "ingest":
		parts = parts[1:2]
	case "reads":
		parts = parts[2:3]
	case "timing":
		parts = parts[4:]
	default:
		return fmt.Errorf("there is no part %q to measure alone", b.only)
	}
	for _, part := range parts {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if b.peak > 0 {
		b.row(b.peak < 300<<20, "resident memory, at most", "under 300 MB", "%d MB", b.peak>>20)
	}
	fmt.Printf("\n| figure | measured | promised | holds |\n|---|---|---|---|\n")
	all := true
	for _, r := range b.rows {
		holds := "yes"
		if !r.holds {
			holds, all = "**no**", false
		}
		fmt.Printf("| %s | %s | %s | %s |\n", r.what, r.measured, r.promised, holds)
	}
	if !all {
		return fmt.Errorf("not every figure holds")
	}
	return nil
}
