package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firebreak/demo"
	"firebreak/demo/demotest"
)

// An account moves to another patient and back, and the gateway is killed each time
// while what was sent with it follows. In the end all of it is in the chart of the
// patient whose it is by the last word, and nothing in the other's.
func TestMovesThroughKills(t *testing.T) {
	const results, moves = 24, 2
	binary(t)
	data := t.TempDir()
	start := func() (*demotest.Process, demo.Info) {
		os.Remove(filepath.Join(data, "demo.json"))
		p := launch(t, "demo", "--empty", "--listen", "127.0.0.1:0", "--mllp", "127.0.0.1:0", "--data", data)
		info, ready := p.Info(t, data)
		if !ready {
			t.Fatalf("it ended by itself: %s", p.Stderr.String())
		}
		return p, info
	}
	n := 0
	tell := func(address, typ, who string, lines ...string) {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		n++
		m := fmt.Sprintf("MSH|^~\\&|EHR|GENERAL|||2026030112%02d%02d||%s|V%d|P|2.5.1\rPID|1||%s||Test^%s||19700101|F||||||||||K1^^^GENERAL\r", n/60, n%60, typ, n, who, who)
		fmt.Fprintf(conn, "\x0b%s%s\r\x1c\r", m, strings.Join(lines, "\r"))
		answer, err := bufio.NewReader(conn).ReadString('\x1c')
		if err != nil || !strings.Contains(answer, "|AA|") {
			t.Fatalf("message %d: %q %v", n, answer, err)
		}
	}
	p, info := start()
	for i := range results {
		tell(info.MLLP, "ORU^R01", "M1", "PV1|1|I|W1||||||||||||||||V1",
			fmt.Sprintf("OBR|1|P-%d|F-%d|2951-2^Sodium^LN|||20260301120000|||||||||||||||20260301120000|||F", i, i), fmt.Sprintf("OBX|1|NM|2951-2^Sodium^LN||%d|mmol/L|||||F|||20260301120000", i))
	}
	whose := [2]string{"M2", "M1"}
	for i := range moves {
		tell(info.MLLP, "ADT^A44", whose[i%2], "MRG|"+whose[(i+1)%2]+"||K1^^^GENERAL")
		<-time.After(rand.N(60 * time.Millisecond))
		p.Kill()
		p, info = start()
	}
	p.Poll(t, "all to be applied", func() bool { return demotest.Scrape(t, info.Metrics)["firebreak_inbox_pending"] == 0 })
	if held := demotest.Scrape(t, info.Metrics)["firebreak_inbox_held"]; held != 0 {
		t.Errorf("%v messages are held", held)
	}
	app, err := demotest.Backend(t.Context(), info)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	for who, want := range map[string]int{"M1": results, "M2": 0} {
		all, _, err := app.Search(t.Context(), "/Observation?_count=200&patient.identifier="+who)
		if err != nil || len(all) != want {
			t.Errorf("%s has %d results, want %d: %v", who, len(all), want, err)
		}
	}
}
