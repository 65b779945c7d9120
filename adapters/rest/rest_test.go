package rest

import (
	"bytes"
	"testing"
)

func TestResourceBytesSurvive(t *testing.T) {
	resource := []byte("{\"resourceType\": \"Observation\",\n \"valueQuantity\":{\"value\":1.00E+2}}")
	in := Interaction{Method: "PUT", Path: "Observation/a", Request: "r-1", Resource: resource}
	out, err := Decode(in.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Resource, resource) {
		t.Errorf("got %s", out.Resource)
	}
	if out.Method != in.Method || out.Path != in.Path || out.Request != in.Request {
		t.Errorf("got %+v", out)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, b := range []string{"", "{}", `{"method":"PATCH","path":"","request":"","resource":{}}`, `{"method":"PUT","path":"a"}`, `{"method":"PUT","method":"PUT","resource":{}}`, `{"method":"PUT","resource":{},"x":1}`} {
		if _, err := Decode([]byte(b)); err == nil {
			t.Errorf("%s was taken", b)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"method":"PUT","path":"Patient/1","request":"","resource":{"resourceType":"Patient"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := Decode(b)
		if err != nil {
			return
		}
		if j, err := Decode(i.Encode()); err != nil || !bytes.Equal(i.Resource, j.Resource) {
			t.Fatalf("%+v became %+v, %v", i, j, err)
		}
	})
}
