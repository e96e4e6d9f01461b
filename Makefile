# The front door. `make` installs what is missing and builds; the rest is below.
BUILD  ?= build
PREFIX ?= /usr/local
comma  := ,

# $(call setup,FOLDER,OPTIONS): configure once, or again when options changed.
setup = mkdir -p $(BUILD) && { [ -f $(BUILD)/$(1)/build.ninja ] || meson setup $(BUILD)/$(1) $(2) >$(BUILD)/$(1).log 2>&1 || { cat $(BUILD)/$(1).log; exit 1; }; }

all: $(BUILD)/packages
	@$(call setup,release,--prefix=$(PREFIX) --libexecdir=libexec -Doptimization=2 -Ddebug=true -Dhardening=true)
	@ninja -C $(BUILD)/release --quiet
	@DESTDIR=$(abspath $(BUILD))/root meson install -C $(BUILD)/release --no-rebuild --only-changed --quiet

# Debian packages that are not there yet; needs root once.
$(BUILD)/packages: tools/packages
	@tools/packages --install
	@mkdir -p $(BUILD) && touch $@

debug: $(BUILD)/packages
	@$(call setup,debug,-Db_sanitize=address$(comma)undefined -Dwerror=$(if $(CI),true,false))
	@ninja -C $(BUILD)/debug --quiet

demo: all
	@tools/demo $(BUILD)

test: all debug
	@tools/test $(BUILD)

bench: all
	@tools/bench $(BUILD)

soak: all
	@$(BUILD)/release/src/sim/blixard-sim --seeds 2000
	@tools/mutants/run $(BUILD)

fuzz: $(BUILD)/packages
	@CC=clang $(call setup,fuzz,-Dfuzz=true -Db_sanitize=address$(comma)undefined -Db_lundef=false)
	@ninja -C $(BUILD)/fuzz --quiet
	@tools/fuzz $(BUILD)/fuzz

install: all
	meson install -C $(BUILD)/release --no-rebuild

fmt:
	@git ls-files '*.[ch]' | xargs clang-format -i

clean:
	rm -rf $(BUILD)

.PHONY: all debug demo test bench soak fuzz install fmt clean
