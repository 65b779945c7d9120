// Package pgtest gives tests a real PostgreSQL: a cluster of their own in a
// temporary folder, or the server that FIREBREAK_TEST_POSTGRES names (a
// postgres:// address whose user may create databases). A test that asks for
// one fails when there is none.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//	dsn := pgtest.DSN(t) // an empty database, dropped after the test
package pgtest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// Main runs the tests and stops the cluster if one of them started it.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.stop != nil {
		shared.stop()
	}
	return code
}

var shared struct {
	once sync.Once
	base *url.URL
	err  error
	stop func()
}

var databases atomic.Int64

// DSN is the address of a new, empty database that is dropped after the test.
func DSN(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.base, shared.stop, shared.err = server() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	db, err := sql.Open("pgx", shared.base.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	name := fmt.Sprintf("firebreak_%d_%d", os.Getpid(), databases.Add(1))
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	u := *shared.base
	u.Path = "/" + name
	return u.String()
}

// server is a running server's address, and how to stop it.
func server() (*url.URL, func(), error) {
	if dsn := os.Getenv("FIREBREAK_TEST_POSTGRES"); dsn != "" {
		u, err := url.Parse(dsn)
		if err != nil {
			return nil, nil, fmt.Errorf("pgtest: FIREBREAK_TEST_POSTGRES is not an address")
		}
		return u, nil, nil
	}
	bin, err := binaries()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, nil, fmt.Errorf("pgtest: %w", err)
	}
	cred, err := unprivileged(dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	command := func(name string, arg ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), arg...)
		c.Dir = dir
		c.Env = append(slices.Clip(os.Environ()), "LC_ALL=C", "TZ=UTC")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Pdeathsig: syscall.SIGQUIT}
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "firebreak", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, nil, fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	// fsync is off: these tests kill programs, not the power.
	srv := command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "deadlock_timeout=50ms")
	var log bytes.Buffer
	srv.Stdout, srv.Stderr = &log, &log
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		// The server dies with the thread that started it; keep that thread.
		runtime.LockOSThread()
		started <- srv.Start()
		srv.Wait()
		close(ended)
	}()
	if err := <-started; err != nil {
		os.RemoveAll(dir)
		return nil, nil, fmt.Errorf("pgtest: %w", err)
	}
	stop := func() {
		srv.Process.Signal(syscall.SIGINT) // fast shutdown
		<-ended
		os.RemoveAll(dir)
	}
	base := &url.URL{Scheme: "postgres", User: url.User("firebreak"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}
	if err := ready(base.String(), ended); err != nil {
		stop()
		return nil, nil, fmt.Errorf("pgtest: %w\n%s", err, log.Bytes())
	}
	return base, stop, nil
}

func ready(dsn string, ended <-chan struct{}) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("the server ended at once")
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// binaries is the folder of the newest server installed.
func binaries() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", fmt.Errorf("pgtest: PostgreSQL is not installed; install it or set FIREBREAK_TEST_POSTGRES")
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

func version(p string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p))))
	return n
}

// unprivileged is whom to run the server as, for PostgreSQL refuses root; nil
// when this process is not root. dir becomes theirs.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("pgtest: root cannot run PostgreSQL, and there is no other user: %w", err)
		}
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
