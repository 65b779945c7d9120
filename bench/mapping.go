package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/inbox"
	"firebreak/mapping"
)

// mapping measures what firebreak map does, on one core: HL7 v2 messages and
// C-CDA documents to bundles.
func (b *bench) mapping(ctx context.Context) error {
	var messages, documents []inbox.Message
	for part, err := range hl7.Files(b.stream) {
		if err != nil {
			return err
		}
		messages = append(messages, inbox.Message{Source: "bench", Kind: inbox.HL7v2, Received: time.Unix(0, 0), Body: part.Message()})
	}
	folder := filepath.Join(filepath.Dir(b.stream), "..", "..", "ccda")
	files, err := filepath.Glob(filepath.Join(folder, "*", "*.xml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("there are no documents in %s", folder)
	}
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		documents = append(documents, inbox.Message{Source: "bench", Kind: inbox.CCDA, Received: time.Unix(0, 0), Body: body})
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // as firebreak map does
	keys := mapping.NewKeys([]byte("keys of the bench"))
	rate := func(all []inbox.Message) float64 {
		n, began := 0, time.Now()
		for ctx.Err() == nil && time.Since(began) < b.each/2 {
			for _, m := range all {
				if r, err := mapping.Map(keys, m); err == nil {
					mapping.Bundle(r)
				}
				n++
			}
		}
		return float64(n) / time.Since(began).Seconds()
	}
	v2, cda := rate(messages), rate(documents)
	b.row(v2 >= 8000, "HL7 v2 messages mapped by one core, /s", "at least 8,000", "%.0f", v2)
	b.row(cda >= 100, "C-CDA documents mapped by one core, /s", "at least 100", "%.0f", cda)
	return ctx.Err()
}
