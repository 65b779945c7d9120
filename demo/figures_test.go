package demo_test

import (
	"testing"

	"firebreak/demo/demotest"
)

// figures holds the demo's metrics against what they must be.
func figures(t *testing.T, d *demotest.Demo, want map[string]float64) {
	t.Helper()
	got := demotest.Scrape(t, d.Info.Metrics)
	for name, w := range want {
		if g, ok := got[name]; !ok || g != w {
			t.Errorf("%s is %v, want %v", name, g, w)
		}
	}
}
