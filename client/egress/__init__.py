"""The one door through which anything leaves a site."""
