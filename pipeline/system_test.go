package pipeline

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/pgtest"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/record"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(dir)
	}
	os.Exit(pgtest.Main(m))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var ctx = context.Background()

// system is a record with a pipeline on it.
type system struct {
	*record.Record
	*Pipeline
	Log   *audit.Log
	Rules *label.Rules
	stop  func()
}

// start runs a system; set may change the pipeline before it runs.
func start(t testing.TB, dsn string, logger *slog.Logger, set ...func(*Pipeline)) *system {
	t.Helper()
	return begin(t, dsn, logger, Remake, set...)
}

// begin is start with another Config.Remake.
func begin(t testing.TB, dsn string, logger *slog.Logger, remake func(*mapping.Keys) func(inbox.Message) ([]fhir.Resource, error), set ...func(*Pipeline)) *system {
	t.Helper()
	s := &system{}
	var err error
	s.Log, err = audit.Open(filepath.Join(t.TempDir(), "audit"), nil)
	must(t, err)
	s.Rules, err = label.Default()
	must(t, err)
	keys := mapping.NewKeys([]byte("keys of this test"))
	s.Record, err = record.Open(ctx, record.Config{DSN: dsn, Log: s.Log, Rules: s.Rules, Secret: []byte("a secret of this test"), Logger: logger, Remake: remake(keys)})
	must(t, err)
	s.Pipeline = New(s.Record, keys, s.Rules, Config{Logger: logger})
	for _, f := range set {
		f(s.Pipeline)
	}
	running, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { must(t, s.Run(running)) })
	s.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		must(t, s.Record.Close())
		must(t, s.Log.Close())
	})
	t.Cleanup(s.stop)
	return s
}

func (s *system) Put(ctx context.Context, m inbox.Message) (inbox.Receipt, error) {
	return s.Pipeline.Put(ctx, m)
}

func databases(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, "sqlite:"+filepath.Join(t.TempDir(), "record.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, pgtest.DSN(t)) })
}

// keyOf is the chart of a message's patient.
func keyOf(t testing.TB, s *system, m inbox.Message) string {
	t.Helper()
	key, err := mapping.PatientKey(s.keys, m)
	must(t, err)
	return key
}
