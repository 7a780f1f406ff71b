CREATE DATABASE marketplace;
