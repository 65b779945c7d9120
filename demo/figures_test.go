package demo_test

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"firebreak/demo/demotest"
)

// figures holds the demo's metrics against what they must be.
func figures(t *testing.T, d *demotest.Demo, want map[string]float64) {
	t.Helper()
	got := scrape(t, d.Info.Metrics)
	for name, w := range want {
		if g, ok := got[name]; !ok || g != w {
			t.Errorf("%s is %v, want %v", name, g, w)
		}
	}
}

// scrape reads metrics by name and labels.
func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(answer.Body, 1<<20))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || name == "#" {
			continue
		}
		if i := strings.LastIndex(lines.Text(), " "); i > 0 {
			name, value = lines.Text()[:i], lines.Text()[i+1:]
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = v
		}
	}
	return all
}
