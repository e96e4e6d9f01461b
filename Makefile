# The front door. `make` installs what is missing and builds; the rest is below.
BUILD  ?= build
PREFIX ?= /usr/local
comma  := ,
SECONDS ?= 60

# $(call setup,FOLDER,OPTIONS): configure; again, from nothing, when the options are others.
setup = tools/setup $(BUILD)/$(1) $(2)

all: $(BUILD)/packages
	@$(call setup,release,--prefix=$(PREFIX) --libexecdir=libexec -Doptimization=2 -Ddebug=true -Dhardening=true)
	@ninja -C $(BUILD)/release --quiet
	@DESTDIR=$(abspath $(BUILD))/root meson install -C $(BUILD)/release --no-rebuild --only-changed --quiet

# Debian packages that are not there yet; needs root once.
$(BUILD)/packages: tools/packages
	@tools/packages --install
	@mkdir -p $(BUILD) && touch $@

# What gcc and clang must agree on.
clang: $(BUILD)/packages
	@CC=clang $(call setup,clang,-Doptimization=2)
	@ninja -C $(BUILD)/clang --quiet src/sim/blixard-sim

tsan: $(BUILD)/packages
	@CC=clang $(call setup,tsan,-Db_sanitize=thread -Db_lundef=false)
	@ninja -C $(BUILD)/tsan --quiet tests/test_loop tests/test_journal_thread
	@$(BUILD)/tsan/tests/test_loop && $(BUILD)/tsan/tests/test_journal_thread

cov: $(BUILD)/packages
	@$(call setup,cov,-Db_coverage=true)
	@ninja -C $(BUILD)/cov --quiet
	@meson test -C $(BUILD)/cov --no-rebuild --suite unit
	@ninja -C $(BUILD)/cov coverage-text && cat $(BUILD)/cov/meson-logs/coverage.txt

debug: $(BUILD)/packages
	@$(call setup,debug,-Db_sanitize=address$(comma)undefined -Dwerror=$(if $(CI),true,false))
	@ninja -C $(BUILD)/debug --quiet

demo: all
	@tools/demo $(BUILD)
	@tools/demo_cluster $(BUILD)

test: all debug clang
	@tools/test $(BUILD)

# Without what it compares with it says so, and goes on.
bench: all
	@tools/packages --bench --install || true
	@tools/bench $(BUILD)

soak: all debug clang
	@EXPLORE_STATES=2000000 $(BUILD)/debug/tests/test_raft_explore
	@$(BUILD)/release/src/sim/blixard-sim --seeds 2000
	@$(BUILD)/release/src/sim/blixard-sim --profile swarm --seeds 10000
	@$(BUILD)/release/src/sim/blixard-sim --profile membership --seeds 5000
	@$(BUILD)/release/src/sim/blixard-sim --profile witness --seeds 5000
	@$(BUILD)/release/src/sim/blixard-sim --profile disk --seeds 5000
	@$(BUILD)/release/src/sim/blixard-sim --profile byzantine --seeds 2000
	@$(BUILD)/release/src/sim/blixard-sim --profile scale --seeds 100
	@tools/sim_hashes $(BUILD)/clang/src/sim/blixard-sim
	@CRASH_ROUNDS=200 $(BUILD)/release/tests/crash/test_crash
	@CRASH_ROUNDS=200 $(BUILD)/release/tests/crash/test_crash_node
	@tools/mutants/run $(BUILD)

fuzz: $(BUILD)/packages
	@CC=clang $(call setup,fuzz,-Dfuzz=true -Db_sanitize=address$(comma)undefined -Db_lundef=false)
	@ninja -C $(BUILD)/fuzz --quiet
	@tools/fuzz $(BUILD)/fuzz $(SECONDS)

install: all
	@meson install -C $(BUILD)/release --no-rebuild --quiet

fmt:
	@git ls-files '*.[ch]' | xargs clang-format -i

clean:
	rm -rf $(BUILD)

.PHONY: all clang tsan cov debug demo test bench soak fuzz install fmt clean
