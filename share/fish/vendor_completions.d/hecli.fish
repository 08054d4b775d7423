# Completion for fish: whichever hecli is installed says how, so that it is of the same version.
_HECLI_COMPLETE=fish_source hecli | source
