package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// markStart notes when the data folder was first used.
func (g *Gateway) markStart() error {
	path := filepath.Join(g.Config.Data, "first-start")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		g.first = g.now().UTC().Truncate(time.Minute)
		err = writeNew(path, []byte(g.first.Format(time.RFC3339)+"\n"))
	} else if err == nil {
		g.first, err = time.Parse(time.RFC3339, strings.TrimSpace(string(b)))
	}
	if err != nil {
		return fmt.Errorf("gateway: %s: %w", path, err)
	}
	return nil
}
