package registry

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// The desk keeps the last twenty charts of one person at one worksite, each
// once, and mixes neither people nor worksites.
func TestRecentChartsAreTheLastTwentyOfOnePersonAtOneWorksite(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	r, err := Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d, err := NewDesk(t.Context(), r.DB(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	open := func(person, site, patient string) {
		now = now.Add(time.Minute)
		if err := d.Opened(t.Context(), person, site, patient); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 25 {
		open("lee", "oak", fmt.Sprintf("p%02d", i))
	}
	open("lee", "oak", "p10") // again: moves to the front
	open("lee", "elm", "other-site")
	open("roy", "oak", "other-person")
	all, err := d.Recent(t.Context(), "lee", "oak")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 20 || all[0].Patient != "p10" || all[1].Patient != "p24" || all[19].Patient != "p05" {
		t.Errorf("recent = %v", all)
	}
}

func TestSettingsAreKeptByPerson(t *testing.T) {
	r, err := Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d, err := NewDesk(t.Context(), r.DB(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"theme=dark", "theme=light"} {
		if err := d.Keep(t.Context(), "lee", value); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Setting(t.Context(), "lee"); err != nil || got != value {
			t.Errorf("Setting = %q, %v, want %q", got, err, value)
		}
	}
	if got, err := d.Setting(t.Context(), "roy"); err != nil || got != "" {
		t.Errorf("Setting of someone else = %q, %v", got, err)
	}
}
