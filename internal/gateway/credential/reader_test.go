package credential_test

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"testing"
	"testing/iotest"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/credential"
)

// pieces is a body that comes in these pieces, one a read.
type pieces [][]byte

func (p *pieces) Read(into []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(into, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	return n, nil
}

// Wherever an answer is cut, the credential is not in it.
func TestReaderScrubsAcrossPieces(t *testing.T) {
	escaped := url.QueryEscape(secret)
	text := []byte("a " + secret + secret + " b s3cr3t-" + secret + " c " + escaped + "s3cr3t-Value")
	value := read(t, v1alpha1.CredentialQuery, "key")
	want := "a [credential][credential] b s3cr3t-[credential] c [credential]s3cr3t-Value"
	for first := range text {
		for second := first; second <= len(text); second++ {
			body := &pieces{text[:first], text[first:second], text[second:]}
			if got, err := io.ReadAll(value.Reader(body)); err != nil || string(got) != want {
				t.Fatalf("cut at %d and %d: %q, %v", first, second, got, err)
			}
		}
	}
	if got, err := io.ReadAll(iotest.OneByteReader(value.Reader(iotest.OneByteReader(bytes.NewReader(text))))); err != nil || string(got) != want {
		t.Errorf("byte by byte: %q, %v", got, err)
	}
}

// A stream that pauses has given everything but what the credential may begin with.
func TestReaderKeepsBackOnlyABeginning(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"an event":                       {"data: hello\n\n", "data: hello\n\n"},
		"a beginning":                    {"data: s3cr3t", "data: "},
		"all but the last byte":          {"x" + secret[:len(secret)-1], "x"},
		"a beginning that is none":       {"data: s3cr3t\n\n", "data: s3cr3t\n\n"},
		"the whole":                      {"x" + secret, "x[credential]"},
		"the last letter is a beginning": {"yes", "ye"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := io.Pipe()
			defer func() { _ = from.Close() }()
			paused := make(chan struct{})
			go func() {
				_, _ = to.Write([]byte(test.text))
				close(paused)
			}()
			got := make([]byte, 100)
			n, err := read(t, v1alpha1.CredentialHeader, "X-Key").Reader(from).Read(got)
			if err != nil || string(got[:n]) != test.want {
				t.Errorf("%q, %v", got[:n], err)
			}
			<-paused
		})
	}
}

// What came before a failure is given, and then the failure.
func TestReaderPassesFailuresOn(t *testing.T) {
	broken := errors.New("reset")
	from := io.MultiReader(bytes.NewReader([]byte("ok s3cr3t")), iotest.ErrReader(broken))
	got, err := io.ReadAll(read(t, v1alpha1.CredentialBearer, "").Reader(from))
	if string(got) != "ok s3cr3t" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReaderOfAShortCredential(t *testing.T) {
	short, err := credential.Read("support", spec(v1alpha1.CredentialBearer, ""), map[string][]byte{"token": []byte("abc")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(short.Reader(bytes.NewReader([]byte("xabcx")))); err != nil || string(got) != "xabcx" {
		t.Errorf("%q, %v", got, err)
	}
}

// However an answer is cut, a stream of it gives what Scrub gives of the whole.
func FuzzReader(f *testing.F) {
	f.Add([]byte("aaaaaaaab"), []byte("aaaaaaaaaaaaaaaaab"), byte(3), byte(2))
	f.Add([]byte("abababab"), []byte("abababababababab"), byte(1), byte(1))
	f.Add([]byte("]credent"), []byte("]credent]credent"), byte(5), byte(9))
	f.Add([]byte("a b+c/d=e"), []byte("a b+c/d=ea+b%2Bc%2Fd%3De"), byte(7), byte(4))
	f.Fuzz(func(t *testing.T, held, body []byte, in, out byte) {
		for _, kind := range []v1alpha1.CredentialType{v1alpha1.CredentialQuery, v1alpha1.CredentialBasic} {
			value, err := credential.Read("support", spec(kind, "key"), map[string][]byte{"token": held, "username": []byte("bot")})
			if err != nil {
				t.Skip()
			}
			var cut pieces
			for rest := body; len(rest) > 0; {
				n := min(len(rest), int(in%16)+1)
				cut, rest = append(cut, bytes.Clone(rest[:n])), rest[n:]
			}
			var got bytes.Buffer
			if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, value.Reader(&cut), make([]byte, int(out%16)+1)); err != nil {
				t.Fatal(err)
			}
			if want := value.Scrub(body); !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%q in pieces of %d gives %q, whole %q", body, in%16+1, got.Bytes(), want)
			}
		}
	})
}
