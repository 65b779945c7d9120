package demo_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/demo"
	"firebreak/demo/demotest"
)

// An operator is told of a held message, and never what is in it.
func TestOperatorsAreToldOfHeldMessages(t *testing.T) {
	posts := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		posts <- string(b)
	}))
	defer receiver.Close()
	config := filepath.Join(t.TempDir(), "config.json")
	text := fmt.Sprintf(`{"alerts": {"every": "20ms", "operators": {"webhook": {"url": %q, "secret": {"file": "secret"}}}}}`, receiver.URL)
	for name, body := range map[string]string{config: text, filepath.Join(filepath.Dir(config), "secret"): "a secret of this test"} {
		if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := demotest.Start(t, demo.Options{Empty: true, Config: config})
	d.Send(t, 1, []byte("MSH|^~\\&|LAB|GENERAL|FB|FB|20260301100000+0000||ORU^R01|P1|P|2.5.1\rPID|1||||Zebrowski^Jane\rOBX|1|ST|56888-1^HIV^LN||reactive||||||F\r"))
	first := <-posts
	if !strings.Contains(first, `"state":"begun","text":"general-hospital: 1 message is held"`) || !strings.Contains(first, `/ops"`) {
		t.Errorf("the operator is told %s", first)
	}
	for _, word := range []string{"Zebrowski", "HIV", "reactive", "P1"} {
		if strings.Contains(first, word) {
			t.Errorf("it says %s", word)
		}
	}
}
