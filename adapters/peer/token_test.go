package peer

import "testing"

func TestKeysThatCannotProve(t *testing.T) {
	for name, key := range map[string]string{
		"nothing":  "",
		"words":    "open sesame",
		"a secret": `{"kty":"oct","k":"c2VjcmV0"}`,
		"bad PEM":  "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		if _, err := parseKey([]byte(key)); err == nil {
			t.Errorf("%s was taken for a private key", name)
		}
	}
}
