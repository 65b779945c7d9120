package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"firebreak/adapters"
	"firebreak/adapters/sheet"
)

// Folder is where a source puts files of HL7 v2 messages.
type Folder struct {
	// Path is the folder. Files go from it to its folders done and failed, each
	// with a report.
	Path string `json:"path"`
	// Settle is how long a file must not have changed to be whole. Default 10s.
	// A name that begins with a dot, or ends in .tmp, .part or ~, waits.
	Settle Duration `json:"settle,omitzero"`
	// Every is the time between looks. Default 5s.
	Every Duration `json:"every,omitzero"`
	// CSV says what becomes of the rows of files, which then are CSV.
	CSV *sheet.Map `json:"csv,omitzero"`
}

func (f *Folder) finish(folder string) {
	f.Path = within(folder, f.Path)
	setDefault(&f.Settle, Duration(10*time.Second))
	setDefault(&f.Every, Duration(5*time.Second))
}

func (f *Folder) check(bad func(key, why string)) {
	if f.Path == "" {
		bad("path", "is missing")
	}
	if f.Settle < 0 || f.Every <= 0 {
		bad("settle, every", "must be longer than nothing")
	}
	if f.CSV != nil {
		if _, err := f.CSV.Plan(); err != nil {
			bad("csv", err.Error())
		}
	}
}

// usable tells whether files can be taken from the folder and moved in it.
func (f *Folder) usable() error {
	info, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("is no folder")
	}
	try, err := os.MkdirTemp(f.Path, ".try")
	if err != nil {
		return err
	}
	return os.Remove(try)
}

// openFolder makes what looks into the folder.
func (g *Gateway) openFolder(f Feed) error {
	if err := f.Folder.usable(); err != nil {
		return err
	}
	a := &adapters.Folder{
		HL7: adapters.HL7{Source: f.Name, Sink: g.pipeline, Facilities: f.Facilities, Limit: f.limit(), Now: g.now, Logger: g.log},
		Dir: f.Folder.Path, Settle: time.Duration(f.Folder.Settle), Every: time.Duration(f.Folder.Every), Open: f.awaitOpen(g.now),
	}
	if f.Folder.CSV != nil {
		var err error
		if a.CSV, err = f.Folder.CSV.Plan(); err != nil {
			return err
		}
	}
	g.asks = append(g.asks, g.unlessPaused(f.Name, a.Run))
	g.Feeds = append(g.Feeds, filepath.Clean(f.Folder.Path))
	g.metrics.folder(a)
	return nil
}
