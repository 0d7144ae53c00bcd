package review_test

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

func feeding(uid types.UID, actions int64, seconds int, used ...v1alpha1.ServiceName) review.Feeding {
	return review.Feeding{
		UID: uid, Actions: actions, Duration: time.Duration(seconds) * time.Second, Services: used, At: noon.Add(time.Minute),
	}
}

func TestFeed(t *testing.T) {
	first, err := review.Feed(nil, feeding("a", 10, 300, "slack", "github", "slack"))
	if err != nil {
		t.Fatal(err)
	}
	minute := metav1.NewTime(noon.Add(time.Minute))
	want := v1alpha1.Baseline{
		Missions:        1,
		Actions:         v1alpha1.Distribution{Mean: "10", Variance: "0"},
		DurationSeconds: v1alpha1.Distribution{Mean: "300", Variance: "0"},
		Services:        []v1alpha1.ServiceCount{{Service: "github", Missions: 1}, {Service: "slack", Missions: 1}},
		Fed:             []types.UID{"a"},
		LastTime:        &minute,
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("the first: %s", diff)
	}

	before := first.DeepCopy()
	later := feeding("b", 13, 400, "slack", "aws")
	later.At = noon.Add(90*time.Second + time.Millisecond)
	second, err := review.Feed(&first, later)
	if err != nil {
		t.Fatal(err)
	}
	ninety := metav1.NewTime(noon.Add(90 * time.Second))
	want = v1alpha1.Baseline{
		Missions:        2,
		Actions:         v1alpha1.Distribution{Mean: "11.5", Variance: "2.25"},
		DurationSeconds: v1alpha1.Distribution{Mean: "350", Variance: "2500"},
		Services: []v1alpha1.ServiceCount{
			{Service: "aws", Missions: 1}, {Service: "github", Missions: 1}, {Service: "slack", Missions: 2},
		},
		Fed:      []types.UID{"a", "b"},
		LastTime: &ninety,
	}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("the second: %s", diff)
	}
	if diff := cmp.Diff(before, &first); diff != "" {
		t.Errorf("the baseline that was given changed: %s", diff)
	}

	again, err := review.Feed(&second, feeding("a", 999, 999, "stripe"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, again); diff != "" {
		t.Errorf("a mission counts twice: %s", diff)
	}
}

func TestFeedRefusesADamagedBaseline(t *testing.T) {
	fine := v1alpha1.Distribution{Mean: "1", Variance: "1"}
	for name, tc := range map[string]struct {
		damaged v1alpha1.Distribution
		want    string
	}{
		"empty":         {v1alpha1.Distribution{}, `mean: "" is not a decimal number`},
		"no variance":   {v1alpha1.Distribution{Mean: "1"}, `variance: "" is not a decimal number`},
		"not a number":  {v1alpha1.Distribution{Mean: "NaN", Variance: "1"}, `mean: "NaN" is not a decimal number`},
		"infinite":      {v1alpha1.Distribution{Mean: "1", Variance: "Inf"}, `variance: "Inf" is not a decimal number`},
		"negative":      {v1alpha1.Distribution{Mean: "1", Variance: "-1"}, `variance: "-1" is not a decimal number`},
		"hexadecimal":   {v1alpha1.Distribution{Mean: "0x1p4", Variance: "1"}, `mean: "0x1p4" is not a decimal number`},
		"too great":     {v1alpha1.Distribution{Mean: "1e+999", Variance: "1"}, `mean: "1e+999" is out of range`},
		"about to be":   {v1alpha1.Distribution{Mean: "1e+300", Variance: "1"}, `variance: +Inf is out of range`},
		"a long tirade": {v1alpha1.Distribution{Mean: v1alpha1.Decimal(strings.Repeat("x", 99)), Variance: "1"}, `mean: "` + strings.Repeat("x", 31) + `…" is not a decimal number`},
	} {
		t.Run(name, func(t *testing.T) {
			for field, b := range map[string]v1alpha1.Baseline{
				"baseline.actions":         {Missions: 1, Actions: tc.damaged, DurationSeconds: fine},
				"baseline.durationSeconds": {Missions: 1, Actions: fine, DurationSeconds: tc.damaged},
			} {
				got, err := review.Feed(&b, feeding("a", 1, 1))
				if err == nil || err.Error() != field+": "+tc.want {
					t.Errorf("%v, want %s: %s", err, field, tc.want)
				}
				if diff := cmp.Diff(v1alpha1.Baseline{}, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// decimals as the API takes them.
var decimals = regexp.MustCompile(`^\d+(\.\d+)?(e[+-]\d+)?$`)

// number reads a decimal, and fails where the API would refuse it or where it is not exact.
func number(t *rapid.T, text v1alpha1.Decimal) float64 {
	if !decimals.MatchString(string(text)) || len(text) > 32 {
		t.Fatalf("the API refuses %q", text)
	}
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		t.Fatalf("%q: %v", text, err)
	}
	return x
}

// feedAll feeds missions one after the other, as the operator does: Fed is emptied in between.
func feedAll(t *rapid.T, missions []review.Feeding) v1alpha1.Baseline {
	var b v1alpha1.Baseline
	for _, m := range missions {
		next, err := review.Feed(&b, m)
		if err != nil {
			t.Fatal(err)
		}
		next.Fed = nil
		b = next
	}
	return b
}

func missionsOf(values []int64) []review.Feeding {
	var missions []review.Feeding
	for i, value := range values {
		missions = append(missions, feeding(types.UID(fmt.Sprint(i)), value, int(value)))
	}
	return missions
}

// exact computes mean and variance without rounding in between.
func exact(values []int64) (mean, variance float64) {
	n, sum, squares := big.NewInt(int64(len(values))), new(big.Int), new(big.Int)
	for _, value := range values {
		v := big.NewInt(value)
		sum.Add(sum, v)
		squares.Add(squares, new(big.Int).Mul(v, v))
	}
	mean, _ = new(big.Rat).SetFrac(sum, n).Float64()
	spread := new(big.Int).Sub(new(big.Int).Mul(n, squares), new(big.Int).Mul(sum, sum))
	variance, _ = new(big.Rat).SetFrac(spread, new(big.Int).Mul(n, n)).Float64()
	return mean, variance
}

// Up to a hundred missions, the baseline is the mean and the variance of all, whatever their order.
func TestFeedIsMeanAndVariance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.SampledFrom([]int64{3, 1000, 1_000_000_000}).Draw(t, "most")
		values := rapid.SliceOfN(rapid.Int64Range(0, most), 1, 100).Draw(t, "values")
		mean, variance := exact(values)
		for _, order := range [][]int64{values, rapid.Permutation(values).Draw(t, "order")} {
			b := feedAll(t, missionsOf(order))
			if b.Missions != int64(len(values)) {
				t.Fatalf("%d missions of %d", b.Missions, len(values))
			}
			for name, d := range map[string]v1alpha1.Distribution{"actions": b.Actions, "duration": b.DurationSeconds} {
				gotMean, gotVariance := number(t, d.Mean), number(t, d.Variance)
				if math.Abs(gotMean-mean) > 1e-9*mean {
					t.Fatalf("%s: mean %v, want %v", name, gotMean, mean)
				}
				// A small variance of great values cannot be more exact than the values are.
				if math.Abs(gotVariance-variance) > 1e-9*max(variance, mean) {
					t.Fatalf("%s: variance %v, want %v", name, gotVariance, variance)
				}
			}
		}
	})
}

// Beyond a hundred missions each new one weighs a hundredth, and the past fades.
func TestFeedForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		early := rapid.SliceOfN(rapid.Int64Range(0, 1000), 100, 100).Draw(t, "early")
		late := rapid.Int64Range(0, 1000).Draw(t, "late")
		b := feedAll(t, missionsOf(early))
		mean, variance := number(t, b.Actions.Mean), number(t, b.Actions.Variance)
		for i := range 300 {
			next, err := review.Feed(&b, feeding(types.UID(fmt.Sprint("late", i)), late, 0))
			if err != nil {
				t.Fatal(err)
			}
			away := float64(late) - mean
			mean, variance = mean+away/100, 0.99*(variance+away*away/100)
			next.Fed = nil
			b = next
			gotMean, gotVariance := number(t, b.Actions.Mean), number(t, b.Actions.Variance)
			if math.Abs(gotMean-mean) > 1e-6 || math.Abs(gotVariance-variance) > 1e-3 {
				t.Fatalf("after %d: mean %v, want %v; variance %v, want %v", i+1, gotMean, mean, gotVariance, variance)
			}
		}
		if b.Missions != 400 || math.Abs(mean-float64(late)) > 50 {
			t.Fatalf("after 300 missions of %d actions, of %d, the mean is %v", late, b.Missions, mean)
		}
	})
}

// The histogram counts each mission once for each of its services, in order of names.
func TestFeedCountsServices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, missions := map[v1alpha1.ServiceName]int64{}, []review.Feeding(nil)
		for i := range rapid.IntRange(1, 10).Draw(t, "missions") {
			var used services
			for range rapid.IntRange(0, 12).Draw(t, "services") {
				used = append(used, v1alpha1.ServiceName(fmt.Sprint("s", rapid.IntRange(0, 40).Draw(t, "service"))))
			}
			missions = append(missions, feeding(types.UID(fmt.Sprint(i)), 1, 1, used...))
			slices.Sort(used)
			for _, service := range slices.Compact(slices.Clone(used)) {
				want[service]++
			}
		}
		got := map[v1alpha1.ServiceName]int64{}
		b := feedAll(t, missions)
		for i, count := range b.Services {
			if i > 0 && b.Services[i-1].Service >= count.Service {
				t.Fatalf("%s follows %s", count.Service, b.Services[i-1].Service)
			}
			got[count.Service] = count.Missions
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// numbered gives services of the names first to last.
func numbered(first, last int) []v1alpha1.ServiceCount {
	var counts []v1alpha1.ServiceCount
	for i := first; i <= last; i++ {
		counts = append(counts, v1alpha1.ServiceCount{Service: v1alpha1.ServiceName(fmt.Sprintf("s%03d", i)), Missions: 2})
	}
	return counts
}

func TestFeedDropsWhatIsUsedLeast(t *testing.T) {
	full := func(change func([]v1alpha1.ServiceCount)) v1alpha1.Baseline {
		b, err := review.Feed(nil, feeding("a", 1, 1))
		if err != nil {
			t.Fatal(err)
		}
		b.Services = numbered(1, 128)
		if change != nil {
			change(b.Services)
		}
		return b
	}
	var many services
	for _, count := range numbered(201, 392) {
		many = append(many, count.Service)
	}
	for name, tc := range map[string]struct {
		before  v1alpha1.Baseline
		used    services
		entered services
		dropped services
	}{
		"none, where all are known":    {full(nil), services{"s001", "s128"}, nil, nil},
		"of equals, the last name":     {full(nil), services{"a", "z"}, services{"a", "z"}, services{"s127", "s128"}},
		"the one that was used least":  {full(func(c []v1alpha1.ServiceCount) { c[4].Missions = 1 }), services{"z"}, services{"z"}, services{"s005"}},
		"but not one of the mission's": {full(func(c []v1alpha1.ServiceCount) { c[4].Missions = 1 }), services{"z", "s005"}, services{"z"}, services{"s128"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := tc.before.DeepCopy()
			got, err := review.Feed(&tc.before, feeding("b", 1, 1, tc.used...))
			if err != nil {
				t.Fatal(err)
			}
			var entered, dropped services
			for _, count := range got.Services {
				if !slices.ContainsFunc(before.Services, func(c v1alpha1.ServiceCount) bool { return c.Service == count.Service }) {
					entered = append(entered, count.Service)
				}
			}
			for _, count := range before.Services {
				if !slices.ContainsFunc(got.Services, func(c v1alpha1.ServiceCount) bool { return c.Service == count.Service }) {
					dropped = append(dropped, count.Service)
				}
			}
			if diff := cmp.Diff([]services{tc.entered, tc.dropped}, []services{entered, dropped}); diff != "" || len(got.Services) != 128 {
				t.Errorf("%d services: %s", len(got.Services), diff)
			}
			if diff := cmp.Diff(before, &tc.before); diff != "" {
				t.Errorf("the baseline that was given changed: %s", diff)
			}
		})
	}
	t.Run("even the mission's own, where there is nothing else", func(t *testing.T) {
		b := full(nil)
		got, err := review.Feed(&b, feeding("b", 1, 1, many...))
		if err != nil {
			t.Fatal(err)
		}
		want := numbered(201, 328)
		for i := range want {
			want[i].Missions = 1
		}
		if diff := cmp.Diff(want, got.Services); diff != "" {
			t.Error(diff)
		}
	})
}
