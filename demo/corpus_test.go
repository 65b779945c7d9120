package demo_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/gateway"
	"firebreak/internal/corpus"
	"firebreak/record"
)

// A place is a segment, or a field in one, or the message's own header.
var place = regexp.MustCompile(`\b[A-Z][A-Z0-9]{2}(-\d+(\.\d+)*)?\b`)

// Every message of every file goes in as it stands there, and is applied or
// held with a reason that names the place. None crashes or stalls the feed.
func TestWholeCorpus(t *testing.T) {
	files := corpus.HL7(t)
	d := demotest.Start(t, demo.Options{Empty: true})
	lanes := make(chan hl7.FilePart)
	var senders sync.WaitGroup
	var mu sync.Mutex
	bodies, answers, sent := map[string]bool{}, map[string]int{}, 0
	for range 8 {
		senders.Go(func() {
			s := dial(t, d.Info.MLLP)
			defer func() { s.finish() }()
			for part := range lanes {
				body := bytes.Trim(part.Message(), "\r\n")
				code, err := s.send(body)
				if err != nil {
					t.Errorf("%s:%d: %v", part.Name, part.Line, err)
					s = dial(t, d.Info.MLLP)
				}
				mu.Lock()
				bodies[string(body)] = true
				answers[code]++
				sent++
				mu.Unlock()
			}
		})
	}
	for part, err := range hl7.Files(files...) {
		if err != nil {
			t.Error(err)
		} else if part.Kind == hl7.MessagePart {
			lanes <- part
		}
	}
	close(lanes)
	senders.Wait()
	if err := d.Gateway.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d messages, %d of them different, answers %v", len(files), sent, len(bodies), answers)
	if sent < 3400 || answers["AA"]+answers["CA"]+answers["none asked"] != sent {
		t.Errorf("%d messages were answered %v, want 3400 at least and all taken", sent, answers)
	}

	held := 0
	reasons := map[string]int{}
	o, err := gateway.Attach(t.Context(), d.Gateway.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	err = o.Held(t.Context(), func(h record.Held) {
		held++
		reasons[h.Reason]++
		if !place.MatchString(h.Reason) {
			t.Errorf("message %d is held for %q, which names no place", h.ID, h.Reason)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for reason, n := range reasons {
		t.Logf("%4d held: %s", n, reason)
	}
	figures(t, d, map[string]float64{
		"firebreak_inbox_messages_total":                       float64(len(bodies)),
		"firebreak_inbox_pending":                              0,
		"firebreak_inbox_held":                                 float64(held),
		"firebreak_pipeline_applied_total":                     float64(len(bodies) - held),
		`firebreak_mllp_frames_total{feed="general-hospital"}`: float64(sent),
	})
	// A message whose person was in doubt is held until another settles it, and then applied.
	if n := demotest.Scrape(t, d.Info.Metrics)["firebreak_pipeline_held_total"]; n < float64(held) {
		t.Errorf("%v messages were held, and %d are", n, held)
	}
	answer, err := http.Get(d.Info.Base + "/readyz")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("afterwards it is not ready: %v", err)
	}
	answer.Body.Close()
}

// sender is an MLLP sender of its own: a frame out, a frame in.
type sender struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, address string) *sender {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return &sender{c, bufio.NewReader(c)}
}

// finish waits until the other side has taken everything.
func (s *sender) finish() {
	s.Conn.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, s.r)
	s.Close()
}

// send gives the code of the answer, where the message asks for one.
func (s *sender) send(body []byte) (code string, err error) {
	s.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(s, "\x0b%s\x1c\r", body); err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(body), "\r")
	line, _, _ = strings.Cut(line, "\n")
	// MSH-15 and MSH-16 say which answers are wanted.
	wants := strings.Split(line+strings.Repeat(line[3:4], 16), line[3:4])[14:16]
	if wants[0] == "NE" || wants[0] == "ER" || wants[0] == "" && (wants[1] == "NE" || wants[1] == "ER") {
		return "none asked", nil
	}
	answer, err := s.r.ReadString('\x1c')
	if err != nil {
		return "", err
	}
	if _, err := io.ReadFull(s.r, make([]byte, 1)); err != nil {
		return "", err
	}
	for segment := range strings.SplitSeq(strings.Trim(answer, "\x0b\x1c\r"), "\r") {
		if strings.HasPrefix(segment, "MSA") {
			return strings.Split(segment, segment[3:4])[1], nil
		}
	}
	return "", errors.New("the answer has no MSA")
}
