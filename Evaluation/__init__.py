"""Scores of photographs: pristine patches, distances, zero-shot scores, figures against human opinion."""
