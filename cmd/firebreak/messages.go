package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"firebreak/adapters/hl7"
)

// clientTLS trusts the CA of a PEM file, or the machine's, and shows a
// certificate where one is given.
func clientTLS(ca, certificate, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		b, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("--ca: no certificate in %s", ca)
		}
	}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// place is where in a file a message stands, "FILE:LINE: ".
func place(p hl7.FilePart) string {
	if p.Line == 0 { // of the file as a whole, which the error names
		return ""
	}
	return fmt.Sprintf("%s:%d: ", p.Name, p.Line)
}

// progress says how far sending is: on a terminal in one line that clear
// removes, else on a line every few seconds.
func (e *env) progress() (clear func(), show func(hl7.Counts)) {
	every, begin, end := 5*time.Second, "", "\n"
	clear = func() {}
	if f, ok := e.stderr.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			every, begin, end = 200*time.Millisecond, "\r", ""
			clear = func() { fmt.Fprint(e.stderr, "\r", strings.Repeat(" ", 40), "\r") }
		}
	}
	shown := time.Now()
	return clear, func(c hl7.Counts) {
		if now := time.Now(); now.Sub(shown) > every {
			shown = now
			fmt.Fprintf(e.stderr, "%ssent %d of %d read%s", begin, c.Done(), c.Read, end)
		}
	}
}

// received stands for the time of receipt where nothing was received.
var received = time.Unix(0, 0).UTC()

// runSend is firebreak send. It succeeds when every message was taken.
func runSend(ctx context.Context, e *env, args []string) error {
	f := flags("send")
	to := f.String("to", "", "")
	connections := f.Int("connections", 1, "")
	secure := f.Bool("tls", false, "")
	ca, certificate, key := f.String("ca", "", ""), f.String("cert", "", ""), f.String("key", "", "")
	if err := parse(e, f, args); err != nil {
		return err
	}
	if *to == "" || f.NArg() == 0 || *connections < 1 {
		return errUsage
	}
	for _, p := range f.Args() {
		if _, err := os.Stat(p); err != nil && p != "-" {
			return err
		}
	}
	var over *tls.Config
	if *secure || *ca != "" || *certificate != "" {
		var err error
		if over, err = clientTLS(*ca, *certificate, *key); err != nil {
			return err
		}
	}
	clear, progress := e.progress()
	b := hl7.Bulk{Client: func() *hl7.Client { return &hl7.Client{Addr: *to, TLS: over} }, Connections: *connections, Progress: progress}
	r, err := b.Send(ctx, e.parts(f.Args()...))
	clear()
	for _, fault := range r.Faults {
		fmt.Fprintln(e.stderr, fault)
	}
	fmt.Fprintf(e.stdout, "AA %d  AE %d  AR %d  unanswered %d  unreadable %d", r.AA, r.AE, r.AR, r.Unanswered, r.Unreadable)
	if r.Unasked > 0 {
		fmt.Fprintf(e.stdout, "  no answer asked %d", r.Unasked)
	}
	fmt.Fprintln(e.stdout)
	fmt.Fprintf(e.stdout, "%.0f messages/s  p50 %v  p99 %v\n", r.Rate(), r.Percentile(50).Round(10*time.Microsecond), r.Percentile(99).Round(10*time.Microsecond))
	if err != nil {
		return err
	}
	if r.AE+r.AR+r.Unanswered+r.Unreadable > 0 {
		return errSaid
	}
	return nil
}
