package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	profiled "net/http/pprof"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"firebreak/auth/demoidp"
	"firebreak/auth/smart"
	"firebreak/demo"
)

// constantPath answers 2 kB through the same router and nothing else: what the
// HTTP library costs on this machine.
const constantPath = "/constant"

// serve is the gateway as the bench's child process: the demo without its
// hospital, and one constant answer behind the same router.
func serve(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	data := f.String("data", "", "")
	profile := f.String("profile", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	config := filepath.Join(*data, "bench.json")
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"limits": {"api": %d, "token": %[1]d}}`, smart.MaxLimit), 0o600); err != nil {
		return err
	}
	d, err := demo.New(ctx, demo.Options{Listen: "127.0.0.1:0", MLLP: "127.0.0.1:0", Data: *data, Config: config, Empty: true, Version: "bench", Progress: io.Discard,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	body := bytes.Repeat([]byte("x"), 2048)
	d.Gateway.Router.HandleFunc(constantPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "2048")
		_, _ = w.Write(body)
	})
	d.Gateway.Router.HandleFunc(profilePath, profiled.Profile)
	if *profile != "" {
		out, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	return d.Run(ctx, func() {})
}

// server is a running child.
type server struct {
	bench *bench
	info  demo.Info
	dir   string
	cmd   *exec.Cmd
	token string
}

func (b *bench) start(ctx context.Context, name string) (*server, error) {
	s := &server{bench: b, dir: filepath.Join(b.dir, name)}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	ready := filepath.Join(s.dir, "demo.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	args := []string{"serve", "--data", s.dir}
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o700); err != nil {
			return nil, err
		}
		args = append(args, "--profile", filepath.Join(b.profiles, name+".pprof"))
	}
	s.cmd = exec.CommandContext(ctx, self, args...)
	s.cmd.Stderr = os.Stderr
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(os.Interrupt) }
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	b.servers = append(b.servers, s)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(ready)
		if err == nil {
			if err := json.Unmarshal(text, &s.info); err != nil {
				return nil, err
			}
			return s, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.New("the server does not start")
		}
	}
}

func (s *server) stop() error {
	s.measure()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// measure notes the most memory the child had resident.
func (s *server) measure() {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			s.bench.peak = max(s.bench.peak, kb<<10)
		}
	}
}

func (s *server) address() string { return strings.TrimPrefix(s.info.Base, "http://") }

// login gets the backend's token, as any client would.
func (s *server) login() error {
	var client demoidp.Client
	for _, c := range s.info.Clients {
		if c.ID == demoidp.Backend {
			client = c
		}
	}
	var endpoints struct {
		Token string `json:"token_endpoint"`
	}
	if err := getJSON(s.info.Issuer+"/.well-known/openid-configuration", "", &endpoints); err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, endpoints.Token, strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "scope": {client.Scope}}.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client.ID, client.Secret)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := doJSON(r, &answer); err != nil {
		return err
	}
	s.token = answer.Token
	return nil
}

func getJSON(address, token string, into any) error {
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return doJSON(r, into)
}

func doJSON(r *http.Request, into any) error {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", r.URL.Path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// pending is how many messages wait to be applied.
func (s *server) pending() (float64, error) {
	resp, err := http.Get(s.info.Metrics)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "firebreak_inbox_pending "); ok {
			return strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return 0, errors.New("no figure of pending messages")
}

// settle waits until nothing is pending.
func (s *server) settle() error {
	for {
		n, err := s.pending()
		if err != nil || n == 0 {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// cpu is the processor time the child has used.
func (s *server) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}
